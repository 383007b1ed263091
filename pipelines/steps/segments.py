"""Sorted tables that never change: a few large ones and some small (a log-structured merge tree).

What a call writes is about what is new in it, however much is remembered, and a row is moved
O(log n) times in its life. A lookup is a binary search in each of O(log n) tables.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipelines.arrays import Bools, Ints
from pipelines.steps.ragged import runs
from pipelines.steps.step import SEGMENT, Tables

Merge = Callable[[pa.Table], pa.Table]
"""Puts the rows of some tables in order, and leaves out those that nobody needs any more."""


@dataclass(frozen=True)
class Segments:
    """The rows of one kind by table; `made` is how many tables there ever were: it names the next.

    New rows become a table, into which those before it are merged until each is more than twice
    as long as the next.
    """

    kind: str
    made: int
    tables: dict[int, pa.Table]

    @classmethod
    def of(cls, kind: str, state: Tables) -> "Segments":
        """Out of a step's state; nothing if it has none of the kind."""
        prefix = f"{SEGMENT}{kind}-"
        names = sorted(name for name in state if name.startswith(prefix))
        tables = {int(name.removeprefix(prefix)): state[name] for name in names}
        made = state.get(f"{kind}_made")
        return cls(kind, made["made"][0].as_py() if made else 0, tables)

    def state(self) -> dict[str, pa.Table]:
        """The tables of a step's state; those that did not change are the same objects."""
        made = {f"{self.kind}_made": pa.table({"made": [self.made]})}
        named = {f"{SEGMENT}{self.kind}-{at:08d}": table for at, table in self.tables.items()}
        return made | named

    def __iter__(self) -> Iterator[pa.Table]:
        """The tables, oldest first."""
        return iter(self.tables.values())

    def with_rows(self, rows: pa.Table, merge: Merge) -> "Segments":
        """With some more rows."""
        if not rows.num_rows:
            return self
        kept, parts, size = dict(self.tables), [rows], rows.num_rows
        for at, table in sorted(self.tables.items(), reverse=True):
            if table.num_rows > 2 * size:
                break
            parts.append(kept.pop(at))
            size += table.num_rows
        merged = merge(pa.concat_tables(parts[::-1]).combine_chunks())
        return Segments(self.kind, self.made + 1, kept | {self.made: merged})

    def without(self, at: int) -> "Segments":
        """Without one of the tables."""
        return Segments(self.kind, self.made, {n: t for n, t in self.tables.items() if n != at})


def of_keys(keys: Ints, wanted: Ints) -> Ints:
    """All rows whose key is wanted; `keys` are sorted, `wanted` distinct."""
    first = np.searchsorted(keys, wanted)
    return runs(first, np.searchsorted(keys, wanted, side="right") - first)


def places(keys: Ints, wanted: Ints) -> tuple[Bools, Ints]:
    """Which are among the sorted, distinct `keys`, and the rows of those."""
    at = np.searchsorted(keys, wanted)
    held = at < len(keys)
    held[held] = keys[at[held]] == wanted[held]
    return held, at[held]
