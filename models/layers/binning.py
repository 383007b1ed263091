"""Dense features as categorical ones: logarithmic buckets with learned vectors (INFNet 3.1.1).

rows of a column; d width of an embedded value.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from models.batch import Column, Ids, Numbers
from models.device import moved
from models.layers.embedder import pooled
from models.layout import FeatureField
from models.tables import Tables

SMALLEST, LARGEST = -12, 30
"""Numbers below 2^-12 in size share the bucket of zero, those from 2^30 on share one a sign."""
PER_DOUBLING = 3


class LogBuckets(nn.Module):
    """A number's bucket is a categorical id of its own feature: [rows] → [rows, d].

        bucket(x) = sign(x) · #{k : b_k ≤ |x|},   b_k = 2^(-12 + k/3),  b_0 ≤ … ≤ 2^30

    A missing value is a bucket of its own.
    """

    bounds: Tensor

    def __init__(self, dim: int, std: float) -> None:
        super().__init__()
        bounds = powers_of_two(SMALLEST, LARGEST, PER_DOUBLING)
        self.register_buffer("bounds", bounds, persistent=False)
        self.weight = nn.Parameter(torch.randn(2 * len(bounds) + 2, dim) * std)

    def forward(self, column: Numbers) -> Tensor:
        column = moved(column, self.weight.device)
        x = column.values
        size = torch.bucketize(x.abs(), self.bounds.to(x.dtype), right=True)
        signed = torch.where(x < 0, -size, size)
        bucket = torch.where(column.present, signed + len(self.bounds) + 1, 0)
        return self.weight.index_select(0, bucket)


class BinnedEmbedder(nn.Module):
    """Emb(features): one [rows, d] vector a field, in the layout's order.

    - `id`: its table's row.
    - `ids`: the mean of its table's rows; an empty list is the table's *missing* vector.
    - `number`: the vector of its logarithmic bucket.

    Columns are on the host, their vectors where the weights are.
    """

    def __init__(self, fields: Sequence[FeatureField], dim: int, std: float) -> None:
        super().__init__()
        self.fields = tuple(fields)
        numbers = [field.name for field in self.fields if field.type == "number"]
        self.numbers = nn.ModuleDict({_key(name): LogBuckets(dim, std) for name in numbers})

    def forward(self, tables: Tables, columns: Mapping[str, Column]) -> list[Tensor]:
        """One [rows, d] tensor a field."""
        return [self._embed(field, tables, columns[field.name]) for field in self.fields]

    def _embed(self, field: FeatureField, tables: Tables, column: Column) -> Tensor:
        if isinstance(column, Numbers):
            bucket: Tensor = self.numbers[_key(field.name)](column)
            return bucket
        if isinstance(column, Ids):
            row: Tensor = tables[field.table](column.values, column.present)
            return row
        return pooled(tables[field.table], column)


def powers_of_two(first: int, last: int, per_doubling: int) -> Tensor:
    """2^first … 2^last in steps of 1/per_doubling of an exponent, float64.

    >>> powers_of_two(-1, 1, 1)
    tensor([0.5000, 1.0000, 2.0000], dtype=torch.float64)
    """
    steps = torch.arange((last - first) * per_doubling + 1, dtype=torch.float64)
    return torch.exp2(first + steps / per_doubling)


def _key(name: str) -> str:
    # The prefix keeps names such as "items" or "type" apart from ModuleDict's own attributes.
    return f"number_{name}"
