"""What a source hands to the validator: rows as they came, each with its position."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.dead_letters import DEAD_LETTER_SCHEMA, DeadLetter, dead_letter_table

Int64Array = npt.NDArray[np.int64]


@dataclass(frozen=True)
class JsonLines:
    """JSON Lines, newline-terminated but for perhaps the last.

    The position of a line is `offset` plus the place of its first byte in `data`, or its entry in
    `positions`, which then holds one for each line, blank lines included. With `stops` a line is
    a message, which may hold newlines: it ends where its entry says, shape [n], before one
    newline, and none is empty.
    """

    data: bytes
    offset: int = 0
    positions: Int64Array | None = None
    stops: Int64Array | None = None


@dataclass(frozen=True)
class Rows:
    """A table whose columns are fields of events, and the position of each row, shape [n]."""

    table: pa.Table
    positions: Int64Array


Content = JsonLines | Rows


@dataclass(frozen=True)
class RawRows:
    """What was read of one range, in one form or several, and dead letters for the rest."""

    content: Content | tuple[Content, ...]
    dead_letters: pa.Table = field(default_factory=DEAD_LETTER_SCHEMA.empty_table)


@dataclass(frozen=True)
class SourceFile:
    """A file of a stream; `name` is its path below the source's root, with forward slashes."""

    stream: str
    name: str
    size: int


@dataclass(frozen=True)
class Range:
    """A stretch of one file, `[start, stop)`, in bytes or, for Parquet, in row groups.

    `first_position` is the position of its first event: a byte offset, or a row number. Of Kafka
    it is a stretch of offsets of one partition, whose name is `topic/partition`.
    """

    stream: str
    name: str
    start: int
    stop: int
    rows_estimate: int
    first_position: int

    def dead_letters(self, letters: Iterable[DeadLetter]) -> pa.Table:
        """A table of dead letters from this file or partition."""
        return dead_letter_table(self.stream, self.name, letters)


@dataclass(frozen=True)
class Unread:
    """What of a file to cut into ranges: all from offset `start` on, about `max_rows` rows each.

    The last line of a `final` file is complete even if no newline ends it.
    """

    path: Path
    file: SourceFile
    start: int
    max_rows: int
    final: bool


@dataclass(frozen=True)
class Wanted:
    """A range to read, where it lies, and the columns that somebody looks at.

    `words` are those whose text repeats, fields of list elements after the list's name.
    """

    path: Path
    range: Range
    columns: tuple[str, ...]
    words: tuple[str, ...] = ()
