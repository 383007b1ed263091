"""Declared features to one dense row: the columns of a batch, embedded and concatenated."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from models.batch import Column, IdLists, Ids, Numbers, row_of
from models.device import moved
from models.layers.grouped import uniform
from models.layout import FeatureField
from models.tables import ITEM, EmbeddingTable, Tables


class FeatureEmbedder(nn.Module):
    """Emb(features): [rows, n_fields · dim], the fields in the layout's order.

    - `id`: its table's row.
    - `ids`: the mean of its table's rows; an empty list is the table's *missing* vector.
    - `number` x: `w · sign(x) · log(1 + |x|) + b`, or a learned vector m if missing. So a
      missing number and a zero differ.

    Columns are on the host, their vectors where the weights are.
    """

    def __init__(self, fields: Sequence[FeatureField], dim: int) -> None:
        super().__init__()
        self.fields = tuple(fields)
        self.width = len(self.fields) * dim
        numbers = [field.name for field in self.fields if field.type == "number"]
        self.numbers = nn.ParameterDict({_key(name): uniform(3, 3, dim) for name in numbers})

    def forward(self, tables: Tables, columns: Mapping[str, Column]) -> list[Tensor]:
        """One [rows, dim] tensor a field, to be concatenated by the caller."""
        return [self._embed(field, tables, columns[field.name]) for field in self.fields]

    def _embed(self, field: FeatureField, tables: Tables, column: Column) -> Tensor:
        if isinstance(column, Ids):
            row: Tensor = tables[field.table](column.values, column.present)
            return row
        if isinstance(column, IdLists):
            return pooled(tables[field.table], column)
        weight: Tensor = self.numbers[_key(field.name)]
        return projected(column, weight)


def pooled(table: EmbeddingTable, column: IdLists) -> Tensor:
    """The mean row of each list [rows, dim]: an empty list counts as one absent value."""
    counts = column.offsets.diff()
    empty = (counts == 0).nonzero().squeeze(1)
    owner = torch.cat([row_of(column.offsets), empty])
    values = torch.cat([column.values, empty])
    present = torch.arange(owner.numel()) < column.values.numel()
    looked_up = table(values, present)
    owner, counts = moved((owner, counts), looked_up.device)
    total: Tensor = looked_up.new_zeros(counts.numel(), table.dim).index_add(0, owner, looked_up)
    return total / counts.clamp(min=1)[:, None]


def projected(column: Numbers, weight: Tensor) -> Tensor:
    """[signed log, present, missing] · weight [3, dim] → [rows, dim]."""
    column = moved(column, weight.device)
    x = column.values.to(weight.dtype)
    present = column.present.to(weight.dtype)
    signed_log = torch.where(column.present, x.sign() * x.abs().log1p(), 0)
    return torch.stack([signed_log, present, 1 - present], dim=1) @ weight


def embedded_items(tables: Tables, item: Tensor) -> Tensor:
    """Item ids int64 [n] → [n, dim]; an item is never missing."""
    rows: Tensor = tables[ITEM](item, torch.ones_like(item, dtype=torch.bool))
    return rows


def _key(name: str) -> str:
    # The prefix keeps names such as "items" or "type" apart from ParameterDict's own attributes.
    return f"number_{name}"
