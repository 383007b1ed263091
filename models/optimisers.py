"""Separate optimisers for tables (sparse) and for everything else (dense), MDL 4.1.4.

Both are deterministic; model and optimiser state dicts together resume exactly.
"""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from models.averaging import RunningMean
from models.rowwise import Rowwise, RowwiseAdagrad, RowwiseAdam
from models.tables import EmbeddingTable, tables_in


@dataclass(frozen=True)
class OptimiserConfig:
    """How a model learns. Rates are per step."""

    dense: Literal["adam", "rmsprop"] = "adam"
    dense_rate: float = 1e-3
    dense_hold: int = 0
    """Steps at the full dense rate; step t after it has `dense_rate · √(hold / t)`; 0: all."""
    dense_average: float = 0.0
    """What a step leaves of the running mean of dense weights that scores and serves; 0: none."""
    clip_norm: float = 0.0
    """Dense gradients whose norm, all together, is above it are scaled down to it; 0: never."""
    sparse: Literal["adagrad", "adam"] = "adagrad"
    sparse_rate: float = 0.05
    sparse_epsilon: float = 1e-8


@dataclass(frozen=True)
class Parameters:
    """A model's parameters by the optimiser that updates them."""

    tables: tuple[EmbeddingTable, ...]
    dense: tuple[nn.Parameter, ...]


def split_parameters(model: nn.Module) -> Parameters:
    """The tables of a model, and the parameters that belong to no table."""
    tables = tuple(tables_in(model).values())
    in_tables = {id(p) for table in tables for p in table.parameters()}
    return Parameters(tables, tuple(p for p in model.parameters() if id(p) not in in_tables))


class Optimisers:
    """Both optimisers of one model, stepped together."""

    def __init__(self, model: nn.Module, config: OptimiserConfig) -> None:
        parameters = split_parameters(model)
        self.config = config
        rowwise = {"adagrad": RowwiseAdagrad, "adam": RowwiseAdam}[config.sparse]
        self.sparse: Rowwise = rowwise(parameters.tables, config.sparse_rate, config.sparse_epsilon)
        self._parameters = parameters.dense
        self.dense = _dense(parameters.dense, config)
        self.average = RunningMean(parameters.dense, config.dense_average)

    def zero_grad(self) -> None:
        """Forget all gradients."""
        self.sparse.zero_grad()
        self.dense.zero_grad()

    def clip(self) -> Tensor:
        """Clip the dense gradients; the norm of all gradients before, which a NaN makes NaN."""
        gradients = [one.grad for one in self._parameters if one.grad is not None]
        dense = torch.nn.utils.get_total_norm(gradients)
        if self.config.clip_norm:
            torch.nn.utils.clip_grads_with_norm_(self._parameters, self.config.clip_norm, dense)
        rows = [one.norm() for one in self.sparse.gather()]
        return torch.stack([dense, *rows]).norm()

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
