"""A table of fixed size in which ids that fall on one row share it."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.device import moved
from models.tables.base import Changes, EmbeddingTable
from models.tables.whole import whole_rows


class HashedTable(EmbeddingTable):
    """Row of an id = `1 + unsigned(id) mod rows`; row 0 is *missing*.

    Args:
        rows: rows that ids share, without the missing one.
        dim: width of a row.
        std: standard deviation of the normal initial values.
    """

    _changed: Tensor
    """bool [rows]: what the next `changes` gives."""

    def __init__(self, rows: int, dim: int, std: float) -> None:
        super().__init__()
        self.rows = rows
        self.weight = nn.Parameter(torch.randn(rows + 1, dim) * std)
        self.register_buffer("square_sum", torch.zeros(rows + 1))
        self.register_buffer("_changed", torch.ones(rows + 1, dtype=torch.bool), persistent=False)

    def forward(self, ids: Tensor, present: Tensor) -> Tensor:
        rows = torch.where(present, 1 + unsigned_remainder(ids, self.rows), 0)
        return functional.embedding(moved(rows, self.weight.device), self.weight, sparse=True)

    def touched(self, rows: Tensor) -> None:
        self._changed.index_fill_(0, rows, True)

    def live(self) -> dict[str, Tensor]:
        return dict(self.by_row)

    def changes(self) -> dict[str, Tensor]:
        rows = self._changed.nonzero()[:, 0]
        self._changed.zero_()
        return {"rows": rows} | {name: values[rows] for name, values in self.by_row.items()}

    def all_changed(self) -> None:
        self._changed.fill_(True)

    def restore(self, parts: Iterable[Changes]) -> None:
        for part in parts:
            for name, values in self.by_row.items():
                self._take_over(values, part[name], part.get("rows"))
        self._changed.zero_()

    @staticmethod
    def whole(parts: Sequence[Changes]) -> dict[str, Tensor]:
        return whole_rows(parts, [name for name in parts[-1] if name != "rows"])

    def _take_over(self, values: Tensor, received: Tensor, rows: Tensor | None) -> None:
        last = len(received) if rows is None or not len(rows) else int(rows[-1]) + 1
        if last > len(values) or received.shape[1:] != values.shape[1:]:
            raise ValueError(
                f"expected at most {len(values):,} rows of {self.dim} numbers, "
                f"received {last:,} of {received.shape[-1]}"
            )
        at = slice(len(received)) if rows is None else rows.to(values.device)
        values[at] = received.to(values)


def unsigned_remainder(ids: Tensor, divisor: int) -> Tensor:
    """`ids` int64, read as unsigned 64-bit numbers, modulo `divisor`.

    >>> unsigned_remainder(torch.tensor([7, -1]), 10)
    tensor([7, 5])
    """
    wrapped = torch.where(ids < 0, (1 << 64) % divisor, 0)
    return (ids.remainder(divisor) + wrapped).remainder(divisor)
