"""A block of JSON Lines to typed columns: all at once where possible, line by line where not.

What becomes of a line never depends on the other lines of its block.
"""

import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.json as pj

from pipelines.sources.raw import Int64Array
from pipelines.validate.kinds import loose_schema
from pipelines.validate.lines import Lines
from pipelines.validate.strict_json import Fault, LineReader
from schemas.events import arrow_schema
from schemas.spec import Spec

_SHORT_STRETCH, _LONG_STRETCH = 64, 1024
_FEW_LINES = 32
"""So few lines cost no more one by one than another attempt at once."""

_ROW = re.compile(r"in row (\d+)$")


@dataclass
class Parsed:
    """Typed rows in the loose schema, with the numbers of their lines, and the lines at fault."""

    tables: list[pa.Table]
    lines: list[Int64Array]
    faults: list[tuple[int, Fault]] = field(default_factory=list)

    def table(self) -> tuple[pa.Table, Int64Array]:
        """All rows and the number of the line of each."""
        return pa.concat_tables(self.tables), np.concatenate(self.lines)


class Parser:
    """Parses blocks of one stream's lines; `latest_ms` is where the future begins."""

    def __init__(self, spec: Spec, stream: str, latest_ms: int) -> None:
        self._reader = LineReader(arrow_schema(spec, stream), latest_ms)
        self._loose = loose_schema(spec, stream)
        self._options = pj.ParseOptions(
            explicit_schema=self._loose, unexpected_field_behavior="ignore"
        )

    def parse(self, lines: Lines) -> Parsed:
        """Typed rows of one block, in no particular order."""
        parsed = Parsed([self._loose.empty_table()], [np.empty(0, np.int64)])
        self._divide(lines, np.flatnonzero(~lines.doubtful), parsed)
        self._one_by_one(lines, np.flatnonzero(lines.doubtful), parsed)
        return parsed

    def _divide(self, lines: Lines, chosen: Int64Array, parsed: Parsed) -> None:
        """Take all lines at once; else the good ones, and those that look bad one by one.

        Around what is refused though it looked good, ever longer stretches are taken.
        """
        if not len(chosen) or self._take(lines, chosen, parsed) is None:
            return
        suspect = np.array([self._reader.suspects(lines.raw(line)) for line in chosen.tolist()])
        self._one_by_one(lines, chosen[suspect], parsed)
        chosen = chosen[~suspect]
        if not len(chosen) or (suspect.any() and self._take(lines, chosen, parsed) is None):
            return
        stretch = _SHORT_STRETCH
        while len(chosen):
            done = self._advance(lines, chosen[:stretch], parsed)
            stretch = min(2 * stretch, _LONG_STRETCH) if done == stretch else _SHORT_STRETCH
            chosen = chosen[done:]

    def _advance(self, lines: Lines, chosen: Int64Array, parsed: Parsed) -> int:
        """Deal with some lines from the first on; returns how many."""
        good = self._take(lines, chosen, parsed) if len(chosen) > _FEW_LINES else 0
        if good is None:
            return len(chosen)
        if good > _FEW_LINES and self._take(lines, chosen[:good], parsed) is None:
            self._one_by_one(lines, chosen[good : good + 1], parsed)
            return good + 1
        self._one_by_one(lines, chosen[:_FEW_LINES], parsed)
        return len(chosen[:_FEW_LINES])

    def _take(self, lines: Lines, chosen: Int64Array, parsed: Parsed) -> int | None:
        """Parse these lines at once; if that fails, how many lines from the first look good."""
        table = self._at_once(lines.join(chosen), len(chosen))
        if isinstance(table, int):
            return min(table, len(chosen) - 1)
        parsed.tables.append(table)
        parsed.lines.append(chosen)
        return None

    def _at_once(self, data: bytes, expected_rows: int) -> pa.Table | int:
        """The rows of whole lines, or the number of the row that the block parser refused."""
        read = pj.ReadOptions(use_threads=False, block_size=len(data) + 1)
        try:
            table = pj.read_json(pa.BufferReader(data), read, self._options)
        except pa.ArrowInvalid as error:
            named = _ROW.search(str(error))
            return int(named[1]) if named else 0
        return table if len(table) == expected_rows else 0

    def _one_by_one(self, lines: Lines, chosen: Int64Array, parsed: Parsed) -> None:
        rows: list[dict[str, Any]] = []
        good: list[int] = []
        for line in chosen.tolist():
            deep = lines.deep[line]
            result = Fault("bad_json") if deep else self._reader.row(lines.raw(line))
            if isinstance(result, Fault):
                parsed.faults.append((line, result))
            else:
                rows.append(result)
                good.append(line)
        parsed.tables.append(pa.Table.from_pylist(rows, schema=self._loose))
        parsed.lines.append(np.array(good, np.int64))
