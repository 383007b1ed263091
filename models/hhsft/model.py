"""HHSFT: heterogeneous feature interaction, then fusion of what users want across domains.

Equation map (UniScale 3.4):

    block tokens      h⁽⁰⁾              tokens.BlockTokenizer
    HFA (1)           q_i, k_i, v_i     interaction.HeterogeneousLayer.qkv
                      h⁽ˡ⁺¹⁾            interaction.HeterogeneousLayer
    GFA (2)           q̃_j, k̃_j, ṽ_j     interaction.GlobalLayer.qkv
                      z                 interaction.Interaction
    DREF (3), (4)     α, e              fusion.RoutedFusion
    DAPGA (5), (6)    O, q, K, V, õ     fusion.DomainAttention
          (7)         γ                 fusion.PersonalGate
          (8)         γ ⊙ õ             Hhsft.forward
    outputs (3.4.3)   ŷ^(d)             Hhsft.heads

docs/models/hhsft.md names the test of each.
"""

from typing import ClassVar

from torch import Tensor

from models.axes import Axes, under
from models.base import RankingModel
from models.batch import UserBatch
from models.device import moved
from models.hhsft.config import PRESETS, HhsftConfig
from models.hhsft.fusion import DomainAttention, PersonalGate, RoutedFusion
from models.hhsft.interaction import Interaction
from models.hhsft.plan import plan_of
from models.hhsft.tokens import BlockTokenizer
from models.layers.mmoe import TaskTowers
from models.layout import Layout


class Hhsft(RankingModel):
    """One output a domain and task; a sample is scored by its own domain's.

    A sample's domain d is where it was logged, `origin_domain`: what was made of a foreign click
    keeps to its source's experts and output, and reaches the target's by what is shared. At
    serving the two are one.
    """

    presets: ClassVar = PRESETS

    def __init__(self, layout: Layout, config: HhsftConfig) -> None:
        super().__init__()
        self.streams, self.domains = len(layout.actions), len(layout.domains)
        self.tokenizer = BlockTokenizer(layout, config)
        self.interaction = Interaction(config, self.tokenizer.n_tokens)
        self.fusion = RoutedFusion(config, config.global_tokens * config.d_g, self.domains)
        self.attention = DomainAttention(config, self.domains)
        self.gate = PersonalGate(config, self.tokenizer.user.width, self.domains)
        self.heads = TaskTowers(self.domains, len(layout.tasks), config.expert_width)

    def forward(self, batch: UserBatch) -> Tensor:
        plan = moved(plan_of(batch, self.streams, self.domains), self.device)
        request, by_domain = plan.sample_request, plan.by_domain
        tokens = self.tokenizer(batch, plan)
        z = by_domain.sort(self.interaction(tokens, request))
        e = self.fusion(z, by_domain.counts)
        o = self.attention(e, by_domain.counts)
        gate = self.gate(tokens.user, plan.domain).index_select(0, by_domain.sort(request))
        logits: Tensor = self.heads((gate * o)[:, None], by_domain.counts)
        return by_domain.restore(logits)

    def axes(self, layout: Layout) -> Axes:
        blocks, domains = tuple(self.tokenizer.labels(layout)), layout.domains
        user = [field for field in layout.request if field.owner == "user"]
        return {
            **under("tokenizer", self.tokenizer.axes(layout)),
            **under("interaction", self.interaction.axes(blocks)),
            **under("fusion.routed", self.fusion.routed.axes(domains)),
            **under("attention.experts", self.attention.experts.axes(domains)),
            **under("gate", self.gate.axes(user, domains)),
            **under("heads", self.heads.axes(domains, layout.tasks)),
        }
