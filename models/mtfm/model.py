"""MTFM: one transformer for all scenarios over a user's history, recent actions and exposures.

Equation map (MTFM 3.1, 3.2):

    (1), (2)     user-level samples X, Y   models.batch.UserBatch
    (3)          h_ij                      tokens.Tokenizer.streams
    (4)          t_i^s                     tokens.Tokenizer.scenarios
    (5)          X⁽⁰⁾ = (H; R; T)          tokens.Tokenizer, plan.TokenPlan.sizes
    (6)          X̃ = GLN(X)                layers.group_norm.GroupLayerNorm
    (7)          U, Q, K, V                hybrid.FullLayer.f1
    (8), (9)     A                         hybrid.full_attention, layers.attention.silu_attention
    (10)         X⁽ˡ⁺¹⁾                    hybrid.FullLayer.f2
    M            dynamic mask, rules 1–3   layers.visibility.earlier_actions, hybrid.Keys
    (11)         X̃_T                       hybrid.TargetLayer, plan.TokenPlan.split
    (12)         M_T                       plan.TokenPlan.target_sees
    (13)         U_T, Q_T                  hybrid.TargetLayer.f_uq
    (14)         K, V                      hybrid.TargetLayer.f_kv
    (15), (16)   A_T                       hybrid.target_attention
    (17)         X_T⁽ˡ⁺¹⁾                  hybrid.TargetLayer.f2
    (18)         X⁽ˡ⁺¹⁾                    hybrid.TargetLayer
    MMoE         scores                    layers.mmoe.MmoeHeads

docs/models/mtfm.md names the test of each.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from models.axes import Axes, Labels, Read, under, wide
from models.base import RankingModel
from models.batch import UserBatch
from models.device import moved
from models.growth import take_over
from models.layers.mmoe import MmoeHeads
from models.layout import Layout
from models.mtfm.config import PRESETS, MtfmConfig
from models.mtfm.hybrid import FullLayer, TargetLayer
from models.mtfm.plan import TokenPlan, plan_of
from models.mtfm.tokens import Tokenizer


class Mtfm(RankingModel):
    """Tokens, B blocks of one full and K target attention layers, MMoE heads on T-tokens.

    The heads read a T-token's last embedding and, beside it, the features it was made of.
    """

    presets: ClassVar = PRESETS

    def __init__(self, layout: Layout, config: MtfmConfig) -> None:
        super().__init__()
        self.layout, self.config = layout, config
        self.width, self.recompute = config.d_model, config.recompute
        self.sizes = (len(layout.actions), len(layout.scenarios))
        self.tokenizer = Tokenizer(layout, config)
        self.layers = nn.ModuleList(
            layer for _ in range(config.blocks) for layer in _block(config, *self.sizes)
        )
        self.heads = MmoeHeads(
            config.d_model + self.tokenizer.sample_width,
            scenarios=len(layout.scenarios),
            tasks=len(layout.tasks),
            experts=config.experts,
            expert_width=config.expert_width,
        )

    def forward(self, batch: UserBatch) -> Tensor:
        plan = moved(plan_of(batch, *self.sizes), self.device)
        x, samples = self.tokenizer(batch, plan)
        for layer in self.layers:
            x = self._through(layer, x, plan)
        t = torch.cat((plan.split(x)[2], samples), dim=1)
        logits: Tensor = self.heads(t, plan.by_scenario)
        return logits

    def _through(self, layer: nn.Module, x_LD: Tensor, plan: TokenPlan) -> Tensor:
        if not (self.recompute and torch.is_grad_enabled()):
            return layer(x_LD, plan)
        return checkpoint(layer, x_LD, plan, use_reentrant=False, preserve_rng_state=False)

    def of_scenario(self, name: str) -> "Mtfm":
        """The subgraph that is deployed for a scenario (MTFM 3.1, 3.3.3), with these very tables.

        Its tokenizer, groups of norms, gates and towers; H and R, and so their streams, are of all.
        """
        layout = self.layout.of_scenario(name)
        with torch.random.fork_rng(devices=[]):
            part = Mtfm(layout, self.config)
        part.to(self.heads.experts.weight)
        take_over(part, self, layout, self.layout)
        part.tokenizer.samples, part.tokenizer.actions = (
            self.tokenizer.samples,
            self.tokenizer.actions,
        )
        return part.train(self.training)

    def tokens(self, batch: UserBatch) -> dict[str, int]:
        return dict(zip("HRT", plan_of(batch, *self.sizes).sizes, strict=True))

    def axes(self, layout: Layout) -> Axes:
        tokenizer, scenarios = self.tokenizer, layout.scenarios
        streams = [(part, name) for part in "HR" for name in layout.actions]
        actions, samples = tokenizer.action_labels(layout), tokenizer.sample_labels(layout)
        into_heads = Read([*wide("T", self.width), *samples])
        return {
            **under("tokenizer.streams", tokenizer.streams.axes(streams, Read(actions))),
            **under("tokenizer.scenarios", tokenizer.scenarios.axes(scenarios, Read(samples))),
            **self._norms([*streams, *scenarios], scenarios),
            **under("heads", self.heads.axes(scenarios, layout.tasks, into_heads)),
        }

    def _norms(self, every: Labels, scenarios: Labels) -> Axes:
        """Gains and biases of all layers; those of a target layer's A are the scenarios' alone."""
        axes: dict[str, tuple[Labels, ...]] = {}
        for at, layer in enumerate(self.layers):
            assert isinstance(layer, FullLayer | TargetLayer)
            out = every if isinstance(layer, FullLayer) else scenarios
            axes |= under(f"layers.{at}.norm_in", layer.norm_in.axes(every))
            axes |= under(f"layers.{at}.norm_out", layer.norm_out.axes(out))
        return axes


def _block(config: MtfmConfig, n_streams: int, n_scenarios: int) -> list[nn.Module]:
    targets = [TargetLayer(config, n_streams, n_scenarios) for _ in range(config.target_layers)]
    return [FullLayer(config, n_streams, n_scenarios), *targets]
