"""Experts of the domains, computed for rows sorted by domain.

n rows, D domains, I inner width, O outer width.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.axes import Axes, Labels, under
from models.layers.grouped import GroupedLinear


class DomainExperts(nn.Module):
    """f_d(x) = W2_d SiLU(W1_d x + b1_d) + b2_d, an expert d for each domain.

    Forward: sorted x [n, I] and the rows of each domain → [n, O], each row through its own
    domain's expert alone, which alone it moves (UniScale 3.4.2).
    """

    def __init__(self, domains: int, inner: int, hidden: int, outer: int) -> None:
        super().__init__()
        self.first = GroupedLinear(domains, inner, hidden)
        self.second = GroupedLinear(domains, hidden, outer)

    def forward(self, x_nI: Tensor, counts: list[int]) -> Tensor:
        hidden = functional.silu(self.first(x_nI, counts))
        own: Tensor = self.second(hidden, counts)
        return own

    def of_all(self, x_nI: Tensor) -> Tensor:
        """Each row through every domain's expert, [n, D, O], without gradient."""
        with torch.no_grad():
            x_DnI = x_nI.expand(len(self.first.weight), -1, -1)
            hidden = functional.silu(self.first.of_every(x_DnI))
            return self.second.of_every(hidden).transpose(0, 1)

    def axes(self, domains: Labels) -> Axes:
        """Of the domains."""
        first, second = self.first.axes(domains), self.second.axes(domains)
        return {**under("first", first), **under("second", second)}
