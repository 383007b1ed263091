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


R = TypeVar("R", bound="Rows")


@dataclass(frozen=True)
class Rows:
    """Base of tables: every field is an array whose first axis counts rows, shape [n] or [n, k]."""

    time: Ints
    """Event time, milliseconds since 1970 UTC."""

    def __len__(self) -> int:
        return len(self.time)

    def take(self, chosen: npt.NDArray[np.integer] | Bools | slice) -> Self:
        """Rows by number, by mask or by slice."""
        columns = vars(self).values()
        if isinstance(chosen, slice):
            return type(self)(*(column[chosen] for column in columns))
        rows = np.flatnonzero(chosen) if chosen.dtype == np.bool_ else chosen
        # Of columns of lists, indexing would copy number by number.
        return type(self)(*(column.take(rows, axis=0) for column in columns))

    def seen_as(self, kind: type[R]) -> R:
        """The columns of another kind of table, all of which this one has."""
        return kind(**{f.name: getattr(self, f.name) for f in fields(kind)})

    @classmethod
    def concat(cls, parts: Sequence[Self]) -> Self:
        """The rows of one or more tables, one after the other."""
        columns = {f.name: [getattr(part, f.name) for part in parts] for f in fields(cls)}
        return cls(**{name: np.concatenate(arrays) for name, arrays in columns.items()})


_MOST_PARTS = 16
"""Of a queue, before they are merged: each costs a search whenever something falls due."""


@dataclass
class _Waiting(Generic[R]):
    rows: R
    due_ms: Ints
    """Never falling, in what a queue keeps."""
    taken: int = 0
    """So many rows at the beginning wait no longer."""

    def take_due(self, before_ms: float) -> "_Waiting[R]":
        chosen = slice(self.taken, int(np.searchsorted(self.due_ms, before_ms)))
        self.taken = max(self.taken, chosen.stop)
        return self.take(chosen)

    def take(self, chosen: Ints | slice) -> "_Waiting[R]":
        return _Waiting(self.rows.take(chosen), self.due_ms[chosen])

    def rest(self) -> "_Waiting[R]":
        """What still waits, copied: the rest of the memory is free to go."""
        return self.take(np.arange(self.taken, len(self.due_ms)))


@dataclass
class Queue(Generic[R]):
    """Rows that wait for their time; those that fall due at once are sorted only then."""

    _parts: list[_Waiting[R]] = field(default_factory=list)
    _fresh: list[_Waiting[R]] = field(default_factory=list)
    """What was added since something was last taken, in no order."""

    def add(self, rows: R, due_ms: Ints) -> None:
        """Let rows wait until `due_ms`, shape [n]."""
        if len(rows):
            self._fresh.append(_Waiting(rows, due_ms))

    def take_due(self, before_ms: float) -> R | None:
        """Remove and return what is due before a time, in order of due time; None if nothing is."""
        parts = [part.take_due(before_ms) for part in self._parts] + self._fresh
        self._fresh = []
        self._parts = [part for part in self._parts if part.taken < len(part.due_ms)]
        found = [part for part in parts if len(part.due_ms)]
        if not found:
            return None
        merged = _merged(found)
        due = merged.take_due(before_ms)
        if merged.taken < len(merged.due_ms):
            self._keep(merged.rest())
        return due.rows if len(due.due_ms) else None

    def _keep(self, part: _Waiting[R]) -> None:
        self._parts.append(part)
        if len(self._parts) > _MOST_PARTS:
            self._parts = [_merged([part.rest() for part in self._parts])]


def _merged(parts: list[_Waiting[R]]) -> _Waiting[R]:
    """The rows of one or more parts in order of due time."""
    rows = type(parts[0].rows).concat([part.rows for part in parts])
    due_ms = np.concatenate([part.due_ms for part in parts])
    return _Waiting(rows, due_ms).take(np.argsort(due_ms, kind="stable"))
