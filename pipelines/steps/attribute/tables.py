"""The tables of step 1 as columns: numpy for what is computed on, Arrow for text that moves."""

from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from pipelines.arrays import Bools, Floats, Ints

NEVER = 1 << 62
"""A time or cut that does not come."""

Columns = TypeVar("Columns", bound="ColumnSet")


@dataclass(frozen=True)
class ColumnSet:
    """Equally long columns; fields named `*_id` are text, the rest numbers or booleans."""

    def __len__(self) -> int:
        return len(getattr(self, fields(self)[0].name))

    def take(self: Columns, rows: Ints) -> Columns:
        """These rows, in this order."""
        return replace(self, **{f.name: _take(getattr(self, f.name), rows) for f in fields(self)})

    def where(self: Columns, kept: Bools) -> Columns:
        """The rows for which `kept` holds."""
        return self if kept.all() else self.take(np.flatnonzero(kept))

    def joined(self: Columns, other: Columns) -> Columns:
        """These rows, then the other's."""
        return replace(
            self,
            **{f.name: _join(getattr(self, f.name), getattr(other, f.name)) for f in fields(self)},
        )

    def table(self) -> pa.Table:
        """The same columns as an Arrow table."""
        return pa.table({f.name: pa.array(getattr(self, f.name)) for f in fields(self)})

    @classmethod
    def of(cls: type[Columns], table: pa.Table | None) -> Columns:
        """The columns of an Arrow table made by `table`; None gives none."""
        if table is None:
            return cls.empty()
        flat = table.combine_chunks()
        return cls(**{f.name: _column(f.name, flat.column(f.name)) for f in fields(cls)})

    @classmethod
    def empty(cls: type[Columns]) -> Columns:
        """No rows."""
        return cls(**{f.name: _no_rows(f) for f in fields(cls)})


@dataclass(frozen=True)
class Requests(ColumnSet):
    """Requests in memory, settled or only arrived; `samples` counts their kept candidates.

    `pseudo` ones were made of a foreign click (rule 10): they show the item of the click alone,
    and `source_id` names the request it came from.
    """

    user: Ints
    request: Ints
    time_ms: Ints
    scenario: Ints
    samples: Ints
    repeated: Ints
    segment: Ints
    row: Ints
    settled: Bools
    pseudo: Bools
    user_id: pa.StringArray
    request_id: pa.StringArray
    source_id: pa.StringArray


@dataclass(frozen=True)
class Samples(ColumnSet):
    """Kept candidates, those of one request together; `child` is the row in its segment.

    `probability` is that of being kept: below 1 only for unexposed ones (rule 9).
    """

    item: Ints
    child: Ints
    exposed: Bools
    probability: Floats
    item_id: pa.StringArray


@dataclass(frozen=True)
class Feedback(ColumnSet):
    """Settled feedback in memory.

    `flag` is the sample that a click flags (-1: none), from the event's time until `fall_ms`,
    known from cut `fall_settle_ms` on. `domain` is an index into the spec's domains or -1.
    `reached`: rule 3 found it a sample; `positive` is the pseudo-sample that it made (-1: none).
    """

    key: Ints
    user: Ints
    stream: Ints
    item: Ints
    time_ms: Ints
    request: Ints
    named: Bools
    domain: Ints
    value: Floats
    settle_ms: Ints
    late: Bools
    flag: Ints
    fall_ms: Ints
    fall_settle_ms: Ints
    reached: Bools
    positive: Ints
    event_id: pa.StringArray


@dataclass(frozen=True)
class Credits(ColumnSet):
    """Credits: feedback row → (task hash, sample), settled at a cut, withdrawn at another."""

    feedback: Ints
    task: Ints
    sample: Ints
    tier: Ints
    withdrawn_ms: Ints
    withdrawn_late: Bools


@dataclass(frozen=True)
class Pairs(ColumnSet):
    """(event, task) pairs: feedback row and task hash."""

    feedback: Ints
    task: Ints


@dataclass(frozen=True)
class Since(ColumnSet):
    """Tasks by hash, and the cut up to which requests have no label of them."""

    task: Ints
    cut: Ints


@dataclass(frozen=True)
class Retractions(ColumnSet):
    """Retractions in memory; `settle_ms` is `NEVER` until their cut has come."""

    key: Ints
    time_ms: Ints
    settle_ms: Ints
    late: Bools
    matched: Bools
    position: Ints
    source_id: pa.StringArray
    stream_id: pa.StringArray
    event_id: pa.StringArray
    user_id: pa.StringArray


def _take(column: Any, rows: Ints) -> Any:
    return column.take(pa.array(rows)) if isinstance(column, pa.Array) else column[rows]


def _join(left: Any, right: Any) -> Any:
    if isinstance(left, pa.Array):
        return pa.concat_arrays([left, right])
    return np.concatenate([left, right])


def _column(name: str, column: pa.ChunkedArray) -> Any:
    flat = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return flat if name.endswith("_id") else flat.to_numpy(zero_copy_only=False)


def _no_rows(field: Any) -> Any:
    if field.name.endswith("_id"):
        return pa.array([], pa.string())
    kinds = {Ints: np.int64, Floats: np.float64, Bools: np.bool_}
    return np.empty(0, kinds[field.type])
