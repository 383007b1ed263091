"""Optimisers of embedding rows: O(rows looked up) a step, their statistics in the tables."""

from abc import ABC, abstractmethod
from collections.abc import Iterable

import torch
from torch import Tensor

from models.tables import EmbeddingTable


class Rowwise(ABC):
    """An optimiser that changes looked-up rows only."""

    def __init__(self, tables: Iterable[EmbeddingTable], rate: float, epsilon: float) -> None:
        self.tables = tuple(tables)
        self.rate = rate
        self.epsilon = epsilon

    def gather(self) -> list[Tensor]:
        """Add up what one row's look-ups say; the gradient of each table's rows [n, dim]."""
        learning = [table.weight for table in self.tables if table.weight.grad is not None]
        for weight in learning:
            assert weight.grad is not None
            weight.grad = weight.grad.coalesce()
        return [weight.grad.values() for weight in learning if weight.grad is not None]

    @torch.no_grad()
    def step(self) -> None:
        """Update every table that has a gradient."""
        for table in self.tables:
            if table.weight.grad is not None:
                summed = table.weight.grad.coalesce()
                rows = summed.indices()[0]
                self._update(table, rows, summed.values())
                table.touched(rows)

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for table in self.tables:
            table.weight.grad = None

    @abstractmethod
    def _update(self, table: EmbeddingTable, rows: Tensor, g: Tensor) -> None:
        """Change these rows [n], each once, by their gradients [n, dim]."""


class RowwiseAdagrad(Rowwise):
    """Adagrad with one sum a row. For a row with gradient g [dim], summed over its look-ups:

        s ← s + mean(g²)
        w ← w - rate · g / (√s + ε)

    s is the table's `square_sum`. Source: Gupta, Bennett, Raskutti 2014, "Training highly
    multiclass classifiers"; the row-wise form as in FBGEMM's `EXACT_ROWWISE_ADAGRAD`.
    """

    def _update(self, table: EmbeddingTable, rows: Tensor, g: Tensor) -> None:
        sums = table.square_sum[rows] + g.square().mean(dim=1)
        table.square_sum.index_copy_(0, rows, sums)
        step = g / (sums.sqrt() + self.epsilon)[:, None]
        table.weight.index_add_(0, rows, step, alpha=-self.rate)


class RowwiseAdam(Rowwise):
    """Adam with one second moment a row and with each row's own number of steps:

        n ← n + 1
        m ← β₁ m + (1 - β₁) g
        v ← β₂ v + (1 - β₂) mean(g²)
        w ← w - rate · m / (1 - β₁ⁿ) / (√(v / (1 - β₂ⁿ)) + ε)

    v is the table's `square_sum`; m and n are its `gradient_mean` and `updates`. A row that is not
    looked up stays as it is. Source: Kingma, Ba 2015, "Adam"; the row-wise form as in FBGEMM's
    `PARTIAL_ROWWISE_ADAM`, whose n counts all steps: ours lets rows be born late.
    """

    first, second = 0.9, 0.999

    def __init__(self, tables: Iterable[EmbeddingTable], rate: float, epsilon: float) -> None:
        super().__init__(tables, rate, epsilon)
        for table in self.tables:
            table.keep_beside("gradient_mean", table.dim)
            table.keep_beside("updates")

    def _update(self, table: EmbeddingTable, rows: Tensor, g: Tensor) -> None:
        beside = table.by_row
        n = beside["updates"][rows] + 1
        m = torch.lerp(g, beside["gradient_mean"][rows], self.first)
        v = torch.lerp(g.square().mean(dim=1), table.square_sum[rows], self.second)
        for name, values in (("updates", n), ("gradient_mean", m), ("square_sum", v)):
            beside[name].index_copy_(0, rows, values)
        size = (v / (1 - self.second**n)).sqrt() + self.epsilon
        step = m / ((1 - self.first**n) * size)[:, None]
        table.weight.index_add_(0, rows, step, alpha=-self.rate)
