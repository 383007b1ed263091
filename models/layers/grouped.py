"""Layers with weights of their own for each group of rows (stream, scenario), computed packed.

Rows are sorted by group once; each group's product then runs on a contiguous slice, so the work
is that of one layer, whatever the number of groups.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.axes import Axes, Labels, under


@dataclass(frozen=True)
class Grouping:
    """How to sort rows by group, and back; made on the host."""

    order: Tensor
    """int64 [n]: sorted row → original row; stable within a group."""
    place: Tensor
    """int64 [n]: original row → sorted row."""
    counts: list[int]
    """Rows of each group."""

    @classmethod
    def of(cls, group: Tensor, n_groups: int) -> "Grouping":
        """The grouping of rows by `group` int64 [n], values below `n_groups`."""
        order = torch.argsort(group, stable=True)
        place = torch.empty_like(order)
        place[order] = torch.arange(order.numel())
        counts = torch.bincount(group, minlength=n_groups)
        return cls(order, place, counts.tolist())

    def sort(self, x: Tensor) -> Tensor:
        """Rows in group order."""
        return x.index_select(0, self.order)

    def restore(self, x: Tensor) -> Tensor:
        """Sorted rows in their original order."""
        return x.index_select(0, self.place)


class GroupedLinear(nn.Module):
    """y = W_g x + b_g for a row x of group g: sorted [n, inner] → sorted [n, outer].

    If `alike`, all groups start from the same weights: one with few rows then starts from what
    it has in common with the others, not from noise of its own. Without `bias`, b_g = 0.
    """

    def __init__(
        self, n_groups: int, inner: int, outer: int, *, alike: bool = False, bias: bool = True
    ) -> None:
        super().__init__()
        drawn = 1 if alike else n_groups
        repeat = n_groups // drawn
        self.weight = nn.Parameter(uniform(inner, drawn, outer, inner).repeat(repeat, 1, 1))
        self.bias = nn.Parameter(uniform(inner, drawn, outer).repeat(repeat, 1)) if bias else None

    def forward(self, x: Tensor, counts: list[int]) -> Tensor:
        biases = [None] * len(counts) if self.bias is None else self.bias.unbind()
        parts = zip(torch.split(x, counts), self.weight.unbind(), biases, strict=True)
        # Empty groups are skipped, unless there is nothing else.
        used = [part for part in parts if len(part[0]) or not len(x)]
        return torch.cat([functional.linear(rows, w, b) for rows, w, b in used])

    def axes(self, groups: Labels, into: Labels = None) -> Axes:
        """Of groups and of what x holds."""
        weight: Axes = {"weight": (groups, None, into)}
        return weight if self.bias is None else {**weight, "bias": (groups, None)}

    def of_every(self, x: Tensor) -> Tensor:
        """x [groups, n, inner], each part through its group's layer: [groups, n, outer]."""
        weight = self.weight.transpose(1, 2)
        if self.bias is None:
            return torch.bmm(x, weight)
        return torch.baddbmm(self.bias[:, None], x, weight)


class GroupedMlp(nn.Module):
    """Two layers with SiLU between: MLP_g(x) = W2_g SiLU(W1_g x + b1_g) + b2_g.

    Forward: x [n, inner] in any order and its grouping → [n, outer] in the same order.
    """

    def __init__(
        self, n_groups: int, inner: int, hidden: int, outer: int, *, alike: bool = False
    ) -> None:
        super().__init__()
        self.first = GroupedLinear(n_groups, inner, hidden, alike=alike)
        self.second = GroupedLinear(n_groups, hidden, outer, alike=alike)

    def forward(self, x: Tensor, grouping: Grouping) -> Tensor:
        return grouping.restore(self.of_sorted(grouping.sort(x), grouping.counts))

    def of_sorted(self, x: Tensor, counts: list[int]) -> Tensor:
        """The same for rows that are in group order already."""
        y: Tensor = self.second(functional.silu(self.first(x, counts)), counts)
        return y

    def axes(self, groups: Labels, into: Labels = None) -> Axes:
        """Of groups and of what x holds."""
        first, second = self.first.axes(groups, into), self.second.axes(groups)
        return {**under("first", first), **under("second", second)}


def uniform(fan_in: int, *shape: int) -> Tensor:
    """Initial values as `nn.Linear` draws them, uniform within ±1/√fan_in."""
    bound = max(fan_in, 1) ** -0.5
    return torch.empty(shape).uniform_(-bound, bound)
