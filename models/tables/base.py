"""What every embedding table offers, whether its rows are fixed in number or grow."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

Changes = Mapping[str, Tensor]
"""Part of a table's state: the numbers of some rows under `rows`, and by name what they hold."""


class EmbeddingTable(nn.Module, ABC):
    """Rows of `dim` numbers found by a 64-bit hash, and one learned row for absent values.

    A table owns what the optimiser keeps of each row, so that a row and its statistics move
    together when a table grows or drops rows, and `state_dict` holds all that training needs.
    The gradient of `weight` is sparse: only looked-up rows have one. Padding has no row: batches
    are packed, and what a layer pads it pads with zeros, after the look-up.
    """

    weight: nn.Parameter
    """float32 [rows, dim]; row 0 is the learned *missing* vector."""
    square_sum: Tensor
    """float32 [rows]; the optimiser's sum, or mean, of a row's mean squared gradients."""

    def __init__(self) -> None:
        super().__init__()
        self.kept_beside: list[str] = []
        """Names of what the optimiser keeps of a row besides `square_sum`."""

    @abstractmethod
    def forward(self, ids: Tensor, present: Tensor) -> Tensor:
        """The rows of `ids` int64 [n] where `present` bool [n], else *missing*: [n, dim].

        Ids are looked up on the host, where both are; the rows are where the table is.
        """

    @abstractmethod
    def live(self) -> dict[str, Tensor]:
        """Everything, not copied: it goes on changing as the table does."""

    @abstractmethod
    def changes(self) -> dict[str, Tensor]:
        """Copies of what changed since the last call or since `restore`; at first, of everything.

        What was read of `live` at any time between two calls becomes, with the second call's
        changes, what the table is at the second call: `live` may be written while rows change.
        """

    @abstractmethod
    def all_changed(self) -> None:
        """Let the next `changes` give everything."""

    @abstractmethod
    def restore(self, parts: Iterable[Changes]) -> None:
        """Become what `changes` gave, call after call, from the first on or from a `live`.

        Raises ValueError if the table has no room for it or is of another width.
        """

    @staticmethod
    @abstractmethod
    def whole(parts: Sequence[Changes]) -> dict[str, Tensor]:
        """What `live` gives of the table that these make up, as `restore` takes them.

        It needs no table and touches none, so that another thread may do it.
        """

    def tick(self) -> None:
        """Time goes on by one window."""

    def touched(self, rows: Tensor) -> None:
        """The optimiser changed these rows."""

    def keep_beside(self, name: str, *shape: int) -> None:
        """Let each row have further numbers of this shape, which begin as zeros."""
        if name in self.kept_beside:
            return
        zeros = untouched_zeros(len(self.weight), *shape).to(self.weight.device)
        self.register_buffer(name, zeros)
        self.kept_beside.append(name)

    @property
    def by_row(self) -> dict[str, Tensor]:
        """Everything that has a row a row."""
        names = ("square_sum", *self.kept_beside)
        return {"weight": self.weight.detach()} | {name: getattr(self, name) for name in names}

    @property
    def dim(self) -> int:
        """Width of a row."""
        return self.weight.shape[1]

    @property
    def size(self) -> int:
        """Rows that are or were in use."""
        return len(self.weight)

    @property
    def memory_bytes(self) -> int:
        """Bytes of the rows in use and of what is kept beside them."""
        return sum(one[0].numel() * one.element_size() for one in self.by_row.values()) * self.size

    @property
    def counts(self) -> dict[str, int]:
        """How full the table is, and what became of ids."""
        return {"rows": self.size}


def untouched_zeros(*shape: int) -> Tensor:
    """Zeros on the host whose memory is taken as it is written; torch fills its own at once."""
    return torch.from_numpy(np.zeros(shape, np.float32))
