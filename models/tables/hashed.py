"""A table of fixed size in which ids that fall on one row share it."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.tables.base import EmbeddingTable


class HashedTable(EmbeddingTable):
    """Row of an id = `1 + unsigned(id) mod rows`; row 0 is *missing*.

    Args:
        rows: rows that ids share, without the missing one.
        dim: width of a row.
        std: standard deviation of the normal initial values.
    """

    def __init__(self, rows: int, dim: int, std: float) -> None:
        super().__init__()
        self.rows = rows
        self.weight = nn.Parameter(torch.randn(rows + 1, dim) * std)
        self.register_buffer("square_sum", torch.zeros(rows + 1))

    def forward(self, ids: Tensor, present: Tensor) -> Tensor:
        rows = torch.where(present, 1 + unsigned_remainder(ids, self.rows), 0)
        return functional.embedding(rows, self.weight, sparse=True)


def unsigned_remainder(ids: Tensor, divisor: int) -> Tensor:
    """`ids` int64, read as unsigned 64-bit numbers, modulo `divisor`.

    >>> unsigned_remainder(torch.tensor([7, -1]), 10)
    tensor([7, 5])
    """
    wrapped = torch.where(ids < 0, (1 << 64) % divisor, 0)
    return (ids.remainder(divisor) + wrapped).remainder(divisor)
