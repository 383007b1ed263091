"""What a model is made of and what it costs: parameters, work, tokens, memory."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from models.base import RankingModel
from models.batch import UserBatch
from models.tables import tables_in

ITSELF = "itself"
"""What a model has or does in none of its parts."""


@dataclass(frozen=True)
class Part:
    """One of a model's parts, its tables aside."""

    parameters: int
    flops: float
    """Forward, an impression."""


@dataclass(frozen=True)
class TableSize:
    """One embedding table."""

    rows: int
    """The most it may have."""
    width: int
    row_bytes: int
    """With what the optimiser keeps of a row."""


@dataclass(frozen=True)
class Description:
    """A model under a layout; FLOPs are of a batch, an impression being one of its samples.

    A product of matrices counts two FLOPs a multiply-add; what is done element by element counts
    none, as is usual.
    """

    parts: Mapping[str, Part]
    tables: Mapping[str, TableSize]
    tokens: Mapping[str, int]
    """Of the batch, by kind, where the model says so."""
    users: int
    impressions: int

    @property
    def parameters(self) -> int:
        """Dense parameters."""
        return sum(part.parameters for part in self.parts.values())

    @property
    def flops(self) -> float:
        """Forward, an impression."""
        return sum(part.flops for part in self.parts.values())


def describe(model: RankingModel, batch: UserBatch) -> Description:
    """Describe a model; its work is counted on this batch, which must hold a sample."""
    work, parameters = _flops(model, batch), _parameters(model)
    parts = {
        name: Part(parameters.get(name, 0), work.get(name, 0) / batch.n_samples)
        for name in (*(name for name, _ in model.named_children()), ITSELF)
        if parameters.get(name) or work.get(name)
    }
    return Description(parts, _tables(model), model.tokens(batch), batch.n_users, batch.n_samples)


def _parameters(model: RankingModel) -> dict[str, int]:
    """Dense parameters by top part."""
    in_tables = tuple(f"{name}." for name in tables_in(model))
    counts: Counter[str] = Counter()
    for name, parameter in model.named_parameters():
        if not name.startswith(in_tables):
            top, _, rest = name.partition(".")
            counts[top if rest else ITSELF] += parameter.numel()
    return counts


def _flops(model: RankingModel, batch: UserBatch) -> dict[str, int]:
    """FLOPs of a forward pass by top part."""
    counter = FlopCounterMode(display=False)
    # With gradients, which are not asked for: without, its hooks stumble over views of parameters.
    with torch.enable_grad(), counter:
        model.eval()(batch)
    counts = {name: sum(ops.values()) for name, ops in counter.get_flop_counts().items()}
    root = type(model).__name__
    parts = {
        name: sum(_below(counts, f"{root}.{name}", child)) for name, child in model.named_children()
    }
    return parts | {ITSELF: counts["Global"] - sum(parts.values())}


def _below(counts: Mapping[str, int], name: str, module: nn.Module) -> list[int]:
    """The counts of a module, or of its parts if it is only a list of them."""
    if isinstance(module, nn.ModuleList):
        return [counts.get(f"{name}.{at}", 0) for at in range(len(module))]
    return [counts.get(name, 0)]


def _tables(model: RankingModel) -> dict[str, TableSize]:
    return {
        name: TableSize(
            rows=len(table.weight),
            width=table.dim,
            row_bytes=sum(one[0].numel() * one.element_size() for one in table.by_row.values()),
        )
        for name, table in tables_in(model).items()
    }
