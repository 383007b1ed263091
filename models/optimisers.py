"""Separate optimisers for tables (sparse) and for everything else (dense), MDL 4.1.4.

Both are deterministic; model and optimiser state dicts together resume exactly.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from models.averaging import RunningMean
from models.tables import EmbeddingTable


@dataclass(frozen=True)
class OptimiserConfig:
    """How a model learns. Rates are per step."""

    dense: Literal["adam", "rmsprop"] = "adam"
    dense_rate: float = 1e-3
    dense_hold: int = 0
    """Steps at the full dense rate; step t after it has `dense_rate · √(hold / t)`; 0: all."""
    dense_average: float = 0.0
    """What a step leaves of the running mean of dense weights that scores and serves; 0: none."""
    sparse_rate: float = 0.05
    sparse_epsilon: float = 1e-8


@dataclass(frozen=True)
class Parameters:
    """A model's parameters by the optimiser that updates them."""

    tables: tuple[EmbeddingTable, ...]
    dense: tuple[nn.Parameter, ...]


def split_parameters(model: nn.Module) -> Parameters:
    """The tables of a model, and the parameters that belong to no table."""
    tables = tuple(m for m in model.modules() if isinstance(m, EmbeddingTable))
    in_tables = {id(p) for table in tables for p in table.parameters()}
    return Parameters(tables, tuple(p for p in model.parameters() if id(p) not in in_tables))


class RowwiseAdagrad:
    """Adagrad with one sum a row, applied to looked-up rows only: O(touched rows) a step.

    For a row with gradient g [dim], summed over its look-ups:

        s ← s + mean(g²)
        w ← w - rate · g / (√s + ε)

    s is the table's `square_sum`. Source: Gupta, Bennett, Raskutti 2014, "Training highly
    multiclass classifiers"; the row-wise form as in FBGEMM's `EXACT_ROWWISE_ADAGRAD`.
    """

    def __init__(self, tables: Iterable[EmbeddingTable], rate: float, epsilon: float) -> None:
        self.tables = tuple(tables)
        self.rate = rate
        self.epsilon = epsilon

    @torch.no_grad()
    def step(self) -> None:
        """Update every table that has a gradient."""
        for table in self.tables:
            if table.weight.grad is not None:
                self._update(table, table.weight.grad)

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for table in self.tables:
            table.weight.grad = None

    def _update(self, table: EmbeddingTable, gradient: torch.Tensor) -> None:
        summed = gradient.coalesce()
        rows, g = summed.indices()[0], summed.values()
        sums = table.square_sum[rows] + g.square().mean(dim=1)
        table.square_sum.index_copy_(0, rows, sums)
        step = g / (sums.sqrt() + self.epsilon)[:, None]
        table.weight.index_add_(0, rows, step, alpha=-self.rate)
        table.touched(rows)


class Optimisers:
    """Both optimisers of one model, stepped together."""

    def __init__(self, model: nn.Module, config: OptimiserConfig) -> None:
        parameters = split_parameters(model)
        self.config = config
        self.sparse = RowwiseAdagrad(parameters.tables, config.sparse_rate, config.sparse_epsilon)
        self.dense = _dense(parameters.dense, config)
        self.average = RunningMean(parameters.dense, config.dense_average)

    def zero_grad(self) -> None:
        """Forget all gradients."""
        self.sparse.zero_grad()
        self.dense.zero_grad()

    def step(self) -> None:
        """Apply the gradients of the last backward pass."""
        self.sparse.step()
        # In the group, since the optimiser's state dict carries what stands there.
        for group in self.dense.param_groups:
            group["taken"] = group.get("taken", 0) + 1
            group["lr"] = self.config.dense_rate * _share(self.config.dense_hold, group["taken"])
        self.dense.step()
        self.average.update()

    def state_dict(self) -> dict[str, Any]:
        """The dense part's state; the sparse part's is in the tables, thus in the model's."""
        return {"dense": self.dense.state_dict(), "average": self.average.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self.dense.load_state_dict(state["dense"])
        self.average.load_state_dict(state["average"])


def _share(hold: int, step: int) -> float:
    return min(1.0, (hold / step) ** 0.5) if hold else 1.0


def _dense(parameters: tuple[nn.Parameter, ...], config: OptimiserConfig) -> torch.optim.Optimizer:
    if config.dense == "rmsprop":
        return torch.optim.RMSprop(parameters, lr=config.dense_rate)
    return torch.optim.Adam(parameters, lr=config.dense_rate, fused=True)
