"""Raw rows to events that every later step may trust, and dead letters for the rest."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pyarrow as pa

from pipelines.dead_letters import DeadLetter, dead_letter_table
from pipelines.sources.raw import Content, Int64Array, JsonLines, RawRows, Rows
from pipelines.validate.checks import check
from pipelines.validate.lines import Lines, blocks
from pipelines.validate.nodes import Node, nodes_of
from pipelines.validate.parse import Parser
from pipelines.validate.render import as_json
from pipelines.validate.verdicts import Verdicts
from pipelines.words import WORD, carried_schema, repeated
from schemas.events import arrow_schema
from schemas.spec import Spec

ROWS_AT_ONCE = 65_536


@dataclass(frozen=True)
class Validated:
    """What was read, as `events_schema` says, and which `rows` of it are events, in their order.

    `dead_letters` as `DEAD_LETTER_SCHEMA` says. `counts` holds `read`, `accepted` and the number
    of dead letters of each reason that occurred; accepted and dead letters add up to `read`.
    """

    read: pa.Table
    rows: Int64Array
    dead_letters: pa.Table
    counts: dict[str, int]

    @cached_property
    def events(self) -> pa.Table:
        """The events alone."""
        whole = np.array_equal(self.rows, np.arange(len(self.read)))
        return self.read if whole else self.read.take(pa.array(self.rows))


def events_schema(spec: Spec, stream: str) -> pa.Schema:
    """The stream's events as they travel, then where each came from."""
    source = pa.field("_source", WORD, nullable=False)
    position = pa.field("_position", pa.int64(), nullable=False)
    return carried_schema(spec, stream).append(source).append(position)


def validate(spec: Spec, stream: str, raw: RawRows, now_ms: int, source_name: str) -> Validated:
    """Split what was read of one source into events and dead letters.

    `now_ms` is the reader's clock: events dated later than it and `max_ahead` are `future`.
    Candidates keep their logged order. Raises KeyError for an unknown stream.
    """
    judge = _Judge(spec, stream, now_ms, source_name)
    contents = raw.content if isinstance(raw.content, tuple) else (raw.content,)
    judged = [one for content in contents for one in judge.content(content)]
    nothing = events_schema(spec, stream).empty_table()
    read = pa.concat_tables([nothing, *(one.read for one in judged)])
    before = np.cumsum([0, *(len(one.read) for one in judged)])
    rows = [one.rows + first for one, first in zip(judged, before, strict=False)]
    letters = dead_letter_table(stream, source_name, (one for j in judged for one in j.letters))
    dead = pa.concat_tables([raw.dead_letters, letters])
    accepted = np.concatenate([np.empty(0, np.int64), *rows])
    return Validated(read, accepted, dead, _counts(len(accepted), dead))


def _counts(accepted: int, dead: pa.Table) -> dict[str, int]:
    reasons = Counter(dead["reason"].to_pylist())
    return {"read": accepted + len(dead), "accepted": accepted, **dict(sorted(reasons.items()))}


def _slices(rows: Rows) -> Iterator[Rows]:
    for start in range(0, len(rows.positions), ROWS_AT_ONCE):
        positions = rows.positions[start : start + ROWS_AT_ONCE]
        yield Rows(rows.table.slice(start, ROWS_AT_ONCE), positions)


@dataclass(frozen=True)
class _Judged:
    """A block: all rows, which of them are events, in order of position, and the dead letters."""

    read: pa.Table
    rows: Int64Array
    letters: list[DeadLetter]


@dataclass(frozen=True)
class _Judge:
    """Checks blocks of one source."""

    spec: Spec
    stream: str
    now_ms: int
    source: str

    def content(self, content: Content) -> Iterator[_Judged]:
        """Events and dead letters, block by block."""
        if isinstance(content, JsonLines):
            yield from map(self.lines, blocks(content))
        else:
            yield from map(self.rows, _slices(content))

    def lines(self, lines: Lines) -> _Judged:
        """Events and dead letters of a block of JSON Lines."""
        parser = Parser(self.spec, self.stream, self.now_ms + self.spec.time.max_ahead_ms)
        parsed = parser.parse(lines)
        table, numbers = parsed.table()
        rows = Rows(table, lines.positions[numbers])
        judged = self._judge(
            rows, lambda top, at: [lines.raw(line) for line in numbers[at].tolist()]
        )
        letters = judged.letters + [
            DeadLetter(int(lines.positions[line]), fault.reason, fault.path, lines.raw(line))
            for line, fault in parsed.faults
        ]
        return replace(judged, letters=sorted(letters, key=lambda letter: letter.position))

    def rows(self, rows: Rows) -> _Judged:
        """Events and dead letters of a block of typed rows."""
        return self._judge(rows, lambda top, at: as_json(rows.table, top, at))

    def _judge(
        self, rows: Rows, raw: Callable[[tuple[Node, ...], Int64Array], Sequence[bytes]]
    ) -> _Judged:
        verdicts = Verdicts(len(rows.positions))
        top = nodes_of(rows, arrow_schema(self.spec, self.stream))
        check(top, self.spec, self.stream, self.now_ms, verdicts)
        refused = verdicts.refused()
        at = np.array([row for row, _, _ in refused], np.int64)
        letters = [
            DeadLetter(int(rows.positions[row]), reason, path, line)
            for (row, reason, path), line in zip(refused, raw(top, at), strict=True)
        ]
        kept = np.flatnonzero(verdicts.accepted())
        order = kept[np.argsort(rows.positions[kept], kind="stable")]
        return _Judged(self._table(top, rows.positions), order, letters)

    def _table(self, top: tuple[Node, ...], positions: Int64Array) -> pa.Table:
        schema = events_schema(self.spec, self.stream)
        columns = [node.build(schema.field(node.path).type) for node in top]
        source = repeated(self.source, len(positions))
        return pa.table([*columns, source, pa.array(positions)], schema=schema)
