"""Multi-gate mixture of experts with a gate and a tower for each (scenario, task).

n rows, S scenarios, K tasks, E experts, W expert width.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.axes import Axes, Labels, Read, under, wide
from models.layers.grouped import GroupedLinear, Grouping, uniform


class MmoeHeads(nn.Module):
    """Shared experts, mixed by each (scenario, task)'s gate and read by its tower.

        e_j = SiLU(W_j x + b_j)                          j = 1 … E, shared by all
        m_k = Σ_j softmax(G_sk x)_j e_j                  s = scenario of the row
        logit_k = tower_sk(m_k)                          one linear layer

    Forward: x [n, D] and its grouping by scenario → logits [n, K]. Scenarios start alike.
    Source: Ma et al., KDD 2018; MTFM 3.2.2, last paragraph.
    """

    def __init__(
        self, width: int, scenarios: int, tasks: int, experts: int, expert_width: int
    ) -> None:
        super().__init__()
        self.shape = (tasks, experts)
        self.experts = nn.Linear(width, experts * expert_width)
        self.gate = GroupedLinear(scenarios, width, tasks * experts, alike=True)
        self.towers = TaskTowers(scenarios, tasks, expert_width)

    def forward(self, x_nD: Tensor, by_scenario: Grouping) -> Tensor:
        x_nD = by_scenario.sort(x_nD)
        tasks, experts = self.shape
        e_nEW = functional.silu(self.experts(x_nD)).view(len(x_nD), experts, -1)
        gate_nKE = self.gate(x_nD, by_scenario.counts).view(-1, tasks, experts).softmax(-1)
        mixed_nKW = gate_nKE.to(e_nEW.dtype) @ e_nEW
        logits: Tensor = self.towers(mixed_nKW, by_scenario.counts)
        return by_scenario.restore(logits)

    def axes(self, scenarios: Labels, tasks: Sequence[str], into: Read) -> Axes:
        """Of scenarios, tasks and what x holds."""
        gates = wide(tasks, self.shape[1])
        return {
            "experts.weight": (None, into),
            "gate.weight": (scenarios, gates, into),
            "gate.bias": (scenarios, gates),
            **under("towers", self.towers.axes(scenarios, tasks)),
        }


class TaskTowers(nn.Module):
    """tower_sk(m) = w_sk · m + b_sk: sorted [n, K, W] → sorted [n, K]."""

    def __init__(self, scenarios: int, tasks: int, width: int) -> None:
        super().__init__()
        self.out = nn.Parameter(uniform(width, 1, tasks, 1, width).repeat(scenarios, 1, 1, 1))
        self.out_bias = nn.Parameter(torch.zeros(scenarios, tasks, 1))

    def forward(self, m_nKW: Tensor, counts: list[int]) -> Tensor:
        rows = torch.split(m_nKW.transpose(0, 1), counts, dim=1)
        parts = zip(rows, self.out.unbind(), self.out_bias.unbind(), strict=True)
        # Not a matrix product: autocast would round it, and bfloat16 logits would tie.
        logits = [(m_KnW * w).sum(dim=2) + b for m_KnW, w, b in parts if m_KnW.shape[1]]
        return torch.cat(logits, dim=1).transpose(0, 1)

    def axes(self, groups: Labels, tasks: Labels) -> Axes:
        """Of the groups that have towers, and of tasks."""
        return {"out": (groups, tasks, None, None), "out_bias": (groups, tasks, None)}
