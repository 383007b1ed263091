"""MDL: feature, scenario and task tokens in one network; scenarios and tasks prompt the features.

Equation map (MDL 3.1 to 3.3):

    (1)          loss                      models.loss.weighted_bce
    (2)          e_u, e_i, e_cross         layers.embedder.FeatureEmbedder
    e_seq        sequence features         layers.pooling, layers.actions.TargetAttention
    (3)          t_j = Proj(e_j)           feature_tokens.FeatureTokenizer
    (4)          t_s, t_t                  prompt_tokens.ScenarioFfn, prompt_tokens.TaskFfn
    (5), (6)     T_f⁽ˡ⁺¹⁾                  block.MdlBlock.feature_ffn, layers.token_mixing
    (7)          T̂_t                       block.TaskAttention, layers.cross_attention
    (8)          T̂_s                       block.ScenarioAttention, layers.cross_attention
    (9)          t_s,avg                   selection.Selection.mean
    (10), (14)   T̃_t                       block.MdlBlock.forward
    (11), (12)   T_s⁽ˡ⁺¹⁾                  block.MdlBlock.scenario_ffn
    (13), (15)   T_t⁽ˡ⁺¹⁾                  block.MdlBlock.task_ffn
    (16)         ŷ_n                       model.Mdl.logits

docs/models/mdl.md names the test of each.

N samples, Q requests, S scenarios, K tasks, F feature tokens, H heads, R places, d width.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from models.axes import Axes, Labels, under
from models.base import HeatMap, RankingModel
from models.batch import UserBatch
from models.device import moved
from models.layers.grouped import uniform
from models.layout import Layout
from models.mdl.block import MdlBlock, Shape, Shares, Tokens
from models.mdl.config import PRESETS, MdlConfig
from models.mdl.feature_tokens import FeatureTokenizer
from models.mdl.groups import groups_of
from models.mdl.plan import Plan, plan_of
from models.mdl.prompt_tokens import PromptTokenizer, scenario_labels
from models.mdl.selection import Selection, own_scenario


@dataclass(frozen=True)
class Attention:
    """Where the tokens of one block look, as means over samples and heads (figures 3 and 4)."""

    task: Tensor
    """[K, F]; a row sums to 1."""
    scenario: Tensor
    """[S + 1, F], the global token last; the row of a scenario without samples is NaN."""


class Mdl(RankingModel):
    """Tokens, L blocks, one head a task.

    `width` is that of a token: the least multiple of the number of feature tokens (token mixing)
    and of heads that is not below `d_model`.
    """

    presets: ClassVar = PRESETS

    def __init__(self, layout: Layout, config: MdlConfig) -> None:
        super().__init__()
        groups = groups_of(layout, config.groups)
        self.feature_tokens = tuple(group.name for group in groups)
        self.width = width_of(config, len(groups))
        self.scenarios, self.tasks = layout.scenarios, layout.tasks
        self.n_streams = len(layout.actions)
        shape = Shape(
            features=len(groups),
            scenarios=len(layout.scenarios),
            tasks=len(layout.tasks),
            width=self.width,
            hidden=config.ffn_ratio * self.width,
            heads=config.heads,
        )
        self.features = FeatureTokenizer(layout, config, groups, self.width)
        self.prompts = PromptTokenizer(layout, config, self.width)
        self.blocks = nn.ModuleList(
            MdlBlock(shape, last=block == config.blocks - 1) for block in range(config.blocks)
        )
        self.out = nn.Parameter(uniform(self.width, len(layout.tasks), self.width))
        self.out_bias = nn.Parameter(torch.zeros(len(layout.tasks)))

    def forward(self, batch: UserBatch, membership_QS: Tensor | None = None) -> Tensor:
        """Logits [N, K].

        `membership_QS` bool says which scenarios a request, thus its samples, belongs to, where
        scenarios overlap; by default its own alone.
        """
        plan = self._plan(batch, membership_QS)
        tokens = self._tokens(batch, plan)
        for block in self.blocks:
            tokens = block(tokens, plan.selection)
        return self.logits(tokens.task)

    def axes(self, layout: Layout) -> Axes:
        names = tuple(group.name for group in groups_of(layout, self.features.declared))
        # Mixing cuts every token into as many pieces as there are tokens: a place behind it means
        # the same only if these are the same.
        mixed = [(name, names) for name in names]
        axes: dict[str, tuple[Labels, ...]] = {"out": (layout.tasks, None)}
        axes["out_bias"] = (layout.tasks,)
        axes |= under("features", self.features.axes(layout))
        axes |= under("prompts", self.prompts.axes(layout))
        for at, block in enumerate(self.blocks):
            assert isinstance(block, MdlBlock)
            tokens = block.axes(mixed, scenario_labels(layout), layout.tasks)
            axes |= under(f"blocks.{at}", tokens)
        return axes

    def logits(self, task_NKd: Tensor) -> Tensor:
        """ŷ_n = w_n · t_n + b_n, [N, K], equation (16)."""
        # Not a matrix product: autocast would round it, and bfloat16 logits would tie.
        return (task_NKd * self.out).sum(dim=2) + self.out_bias

    def attention(
        self, batch: UserBatch, membership_QS: Tensor | None = None
    ) -> tuple[Attention, ...]:
        """Where task and scenario tokens look, of each block; columns are `feature_tokens`."""
        plan = self._plan(batch, membership_QS)
        found = []
        with torch.no_grad():
            tokens = self._tokens(batch, plan)
            for block in self.blocks:
                assert isinstance(block, MdlBlock)
                before, tokens = tokens, block(tokens, plan.selection)
                shares = block.shares(before, tokens, plan.selection)
                found.append(_mean_attention(shares, plan.selection))
        return tuple(found)

    def heat_maps(self, batch: UserBatch) -> tuple[HeatMap, ...]:
        """Of each block, the feature tokens that task and scenario tokens look at."""
        return tuple(
            HeatMap(f"block {block}: {kind} tokens", rows, self.feature_tokens, shares)
            for block, found in enumerate(self.attention(batch), start=1)
            for kind, rows, shares in (
                ("task", self.tasks, found.task),
                ("scenario", (*self.scenarios, "global"), found.scenario),
            )
        )

    def _plan(self, batch: UserBatch, membership_QS: Tensor | None) -> Plan:
        """The plan of a batch, where the weights are."""
        if membership_QS is None:
            membership_QS = own_scenario(batch, len(self.scenarios))
        return moved(plan_of(batch, membership_QS, self.n_streams), self.device)

    def _tokens(self, batch: UserBatch, plan: Plan) -> Tokens:
        return Tokens(self.features(batch, plan), *self.prompts(batch, plan))


def width_of(config: MdlConfig, feature_tokens: int) -> int:
    """Width of a token.

    >>> width_of(PRESETS["tiny"], feature_tokens=7)
    28
    """
    step = math.lcm(feature_tokens, config.heads)
    return -(-config.d_model // step) * step


def _mean_attention(shares: Shares, selection: Selection) -> Attention:
    by_row_MF = selection.gather(shares.scenario.mean(dim=1))
    scenarios = [rows.mean(dim=0) for rows in torch.split(by_row_MF, selection.row_counts)]
    return Attention(shares.task.mean(dim=(0, 1)), torch.stack(scenarios))
