"""Tables of the simulator: dataclasses of equally long arrays, and queues of rows that fall due."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Generic, Self, TypeVar

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]

NONE = -1
"""In any column of numbers: there is none."""


@dataclass(frozen=True)
class Rows:
    """Base of tables: every field is an array whose first axis counts rows, shape [n] or [n, k]."""

    time: Ints
    """Event time, milliseconds since 1970 UTC."""

    def __len__(self) -> int:
        return len(self.time)

    def take(self, chosen: npt.NDArray[np.integer] | Bools | slice) -> Self:
        """Rows by number, by mask or by slice."""
        return type(self)(**{f.name: getattr(self, f.name)[chosen] for f in fields(self)})

    @classmethod
    def concat(cls, parts: Sequence[Self]) -> Self:
        """The rows of one or more tables, one after the other."""
        columns = {f.name: [getattr(part, f.name) for part in parts] for f in fields(cls)}
        return cls(**{name: np.concatenate(arrays) for name, arrays in columns.items()})


R = TypeVar("R", bound=Rows)


@dataclass
class _Waiting(Generic[R]):
    rows: R
    due_ms: Ints
    """Never falling."""


@dataclass
class Queue(Generic[R]):
    """Rows that wait for their time."""

    _parts: list[_Waiting[R]] = field(default_factory=list)

    def add(self, rows: R, due_ms: Ints) -> None:
        """Let rows wait until `due_ms`, shape [n]."""
        if len(rows):
            order = np.argsort(due_ms, kind="stable")
            self._parts.append(_Waiting(rows.take(order), due_ms[order]))

    def take_due(self, before_ms: float) -> R | None:
        """Remove and return what is due before a time, in order of due time; None if nothing is."""
        due: list[_Waiting[R]] = []
        for part in self._parts:
            count = int(np.searchsorted(part.due_ms, before_ms))
            if count:
                due.append(_Waiting(part.rows.take(slice(count)), part.due_ms[:count]))
                part.rows = part.rows.take(slice(count, None))
                part.due_ms = part.due_ms[count:]
        self._parts = [part for part in self._parts if len(part.due_ms)]
        return _in_order(due) if due else None


def _in_order(parts: list[_Waiting[R]]) -> R:
    rows = type(parts[0].rows).concat([part.rows for part in parts])
    return rows.take(np.argsort(np.concatenate([part.due_ms for part in parts]), kind="stable"))
