"""INFNet: hubs carry information between categorical, sequence and task tokens.

Equation map (INFNet 3):

    3.1.1        C, binned dense features  tokens.CategoricalTokens, layers.binning
    (1)          C̃                         tokens.CategoricalHubs
    (2)          s_bt                      tokens.SequenceTokens, plan.plan_of
    (3)          s̃_b                       tokens.SequenceHubs
    (4)          T, T̃                      tokens.TaskTokens
    (5)          CA                        block.CrossAttention, block.Tokens.attended
    (6), (7)     Z, X̃⁽ˡ⁺¹⁾                 block.Aggregation
    (8) to (10)  BGU, X⁽ˡ⁺¹⁾               block.Broadcast
    (11)         ŷ_i                       layers.per_token.TaskHeads
    (12)         loss                      models.loss, the spec's `[learner.task_weights]`

docs/models/infnet.md names the test of each.
"""

from typing import ClassVar

from torch import Tensor, nn

from models.axes import Axes, Labels, under
from models.base import RankingModel
from models.batch import UserBatch
from models.device import moved
from models.infnet.block import InfnetBlock, Tokens
from models.infnet.config import PRESETS, InfnetConfig
from models.infnet.plan import plan_of
from models.infnet.tokens import (
    CategoricalHubs,
    CategoricalTokens,
    SequenceHubs,
    SequenceTokens,
    TaskTokens,
    categorical_labels,
)
from models.layers.per_token import TaskHeads
from models.layout import Layout
from models.tables import tables_by_scale


class Infnet(RankingModel):
    """Tokens and hubs of three groups, L blocks of aggregation and broadcast, a head a task.

    The heads read the task tokens alone. So the last block computes task hubs and task tokens
    only, and with a single block there are no other hubs at all.
    """

    presets: ClassVar = PRESETS

    def __init__(self, layout: Layout, config: InfnetConfig) -> None:
        super().__init__()
        self.n_types, n_tasks = len(layout.actions), len(layout.tasks)
        self.tables, self.own = tables_by_scale(
            layout, config.tables, config.width, config.sequence_scale
        )
        self.categorical = CategoricalTokens(layout, config)
        self.sequence = SequenceTokens(layout, config)
        self.task = TaskTokens(n_tasks, config)
        task_hubs = {"T": n_tasks + config.shared_hubs}
        all_hubs = {"C": config.categorical_hubs, "S": self.n_types} | task_hubs
        inner = config.blocks - 1
        self.blocks = nn.ModuleList(
            InfnetBlock(hubs, config) for hubs in [all_hubs] * inner + [task_hubs]
        )
        n_categorical = len(layout.request) + len(layout.candidate) + 2
        self.categorical_hubs = CategoricalHubs(n_categorical, config) if inner else None
        self.sequence_hubs = SequenceHubs(self.n_types, config) if inner else None
        self.heads = TaskHeads(n_tasks, config.width, config.head_hidden)

    def forward(self, batch: UserBatch) -> Tensor:
        plan = moved(plan_of(batch, self.n_types), self.device)
        c = self.categorical(self.tables, batch, plan)
        s_Md = self.sequence(self.tables if self.own is None else self.own, batch, plan)
        s = plan.tokens.pad(s_Md)
        s_hubs = self.sequence_hubs(s_Md, plan) if self.sequence_hubs else [None] * len(s)
        blocks = zip(c, s, s_hubs, plan.lengths, strict=True)
        return plan.samples.unpad([self._logits(*block) for block in blocks])

    def axes(self, layout: Layout) -> Axes:
        axes: dict[str, tuple[Labels, ...]] = {}
        axes |= under("categorical", self.categorical.axes(layout.scenarios))
        axes |= under("sequence", self.sequence.axes(layout))
        axes |= under("task", self.task.axes(layout.tasks))
        axes |= under("heads", self.heads.axes(layout.tasks))
        if self.categorical_hubs and self.sequence_hubs:
            tokens = categorical_labels(layout)
            axes |= under("categorical_hubs", self.categorical_hubs.axes(tokens))
            axes |= under("sequence_hubs", self.sequence_hubs.axes(layout.actions))
        hubs = {"S": layout.actions, "T": self.task.hubs(layout.tasks)}
        for at, block in enumerate(self.blocks):
            assert isinstance(block, InfnetBlock)
            axes |= under(f"blocks.{at}", block.axes(hubs))
        return axes

    def _logits(
        self, c_qmFd: Tensor, s_qTd: Tensor, s_hubs: Tensor | None, lengths: Tensor
    ) -> Tensor:
        """[q, m, K], of one block of requests of like length."""
        task, task_hubs = self.task()
        hubs = {"T": task_hubs}
        if self.categorical_hubs and s_hubs is not None:
            hubs |= {"C": self.categorical_hubs(c_qmFd), "S": s_hubs}
        tokens = {"C": Tokens(c_qmFd), "S": Tokens(s_qTd[:, None], lengths), "T": Tokens(task)}
        for block in self.blocks:
            tokens, hubs = block(tokens, hubs)
        t_qmKd = tokens["T"].x
        logits: Tensor = self.heads(t_qmKd.flatten(0, 1))
        return logits.view(*t_qmKd.shape[:2], -1)
