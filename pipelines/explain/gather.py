"""One user's events out of a source, file by file and range by range, so that memory stays flat."""

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.explain.events import (
    Candidate,
    Feedback,
    Reading,
    Request,
    Retraction,
    Unusable,
    UserEvents,
    Version,
)
from pipelines.explain.progress import Progress
from pipelines.sources.files import FilesSource
from pipelines.sources.raw import JsonLines, Range, RawRows, Rows
from pipelines.steps.datums import avro_digests
from pipelines.validate import validate
from pipelines.validate.lines import Lines, blocks
from schemas.spec import FEEDBACK_KINDS, Spec

ROWS_AT_ONCE = 100_000


@dataclass(frozen=True)
class Wanted:
    """Whose events, on which item, and the items whose versions matter."""

    user: str
    item: str
    titles: tuple[str, ...] = ()


def gather(source: FilesSource, wanted: Wanted, progress: Progress, now_ms: int) -> UserEvents:
    """All of a user's events, each with when it was read; validated as the pipeline does.

    `now_ms` is the clock: what is dated later than it and `max_ahead` is left out. Raises
    UserError if the source is none.
    """
    gatherer = _Gatherer(source.spec, wanted, progress, now_ms, UserEvents(wanted.user))
    for file in source.discover():
        keys = gatherer.keys(file.stream)
        if keys is not None:
            for one in source.ranges(file, 0, ROWS_AT_ONCE):
                gatherer.add(one, narrowed(source.read_range(one), *keys))
    return gatherer.found


def narrowed(raw: RawRows, column: str, values: Collection[str]) -> RawRows:
    """The rows that may have one of these values in a column, in their places.

    All of them that do, and perhaps some others: what cannot be told before it is parsed stays.
    """
    if isinstance(raw.content, JsonLines):
        return RawRows(_narrowed_lines(raw.content, values), raw.dead_letters)
    rows = raw.content
    if isinstance(rows, tuple) or column not in rows.table.column_names:
        return raw
    held = rows.table[column]
    if pa.types.is_dictionary(held.type):
        held = held.cast(held.type.value_type)
    if not (pa.types.is_string(held.type) or pa.types.is_large_string(held.type)):
        return raw
    mask = pc.is_in(held, value_set=pa.array(list(values), held.type)).combine_chunks()
    places = rows.positions[mask.to_numpy(zero_copy_only=False)]
    return RawRows(Rows(rows.table.filter(mask), places), raw.dead_letters)


def _narrowed_lines(content: JsonLines, values: Collection[str]) -> JsonLines:
    """Lines that hold a value as it is, or an escape that may stand for a part of it."""
    kept: list[bytes] = []
    positions: list[int] = []
    for lines in blocks(content):
        for line in _lines_with(lines, [*(value.encode() for value in values), b"\\"]):
            kept.append(lines.raw(line))
            positions.append(int(lines.positions[line]))
    return JsonLines(b"\n".join(kept), 0, np.array(positions, np.int64))


def _lines_with(lines: Lines, words: list[bytes]) -> Iterator[int]:
    if not len(lines):
        return
    ends = np.append(lines.starts, len(lines.data)).astype(np.int32)
    data = [None, pa.py_buffer(ends), pa.py_buffer(lines.data)]
    array = pa.BinaryArray.from_buffers(pa.binary(), len(lines), data)
    found = np.zeros(len(lines), np.bool_)
    for word in words:
        found |= pc.match_substring(array, word).to_numpy(zero_copy_only=False)
    yield from np.flatnonzero(found).tolist()


@dataclass(frozen=True)
class _Gatherer:
    spec: Spec
    wanted: Wanted
    progress: Progress
    now_ms: int
    found: UserEvents

    def keys(self, stream: str) -> tuple[str, tuple[str, ...]] | None:
        """The column by which a stream's events are chosen, and its values; None for no event."""
        if self.spec.streams[stream].kind != "item":
            return "user_id", (self.wanted.user,)
        return ("item_id", self.wanted.titles) if self.wanted.titles else None

    def add(self, one: Range, raw: RawRows) -> None:
        """Take in what of a range is wanted."""
        keys = self.keys(one.stream)
        assert keys is not None
        checked = validate(self.spec, one.stream, raw, self.now_ms, one.name)
        mask = pc.is_in(checked.events[keys[0]], value_set=pa.array(keys[1], pa.string()))
        events = checked.events.filter(mask).combine_chunks()
        digests = avro_digests(events, self.spec, one.stream) if events.num_rows else []
        for row, digest in zip(events.to_pylist(), digests, strict=True):
            self._keep(one.stream, row, self.progress.reading(one.name, row["_position"], digest))
        if self.spec.streams[one.stream].kind in FEEDBACK_KINDS:
            self._bury(one, checked.dead_letters)

    def _keep(self, stream: str, row: dict[str, Any], reading: Reading) -> None:
        kind, found = self.spec.streams[stream].kind, self.found
        if kind == "exposure":
            found.requests.append(_request(row, reading))
        elif kind == "retraction":
            names = row["stream"], row["event_id"], row["time_ms"]
            found.retractions.append(Retraction(*names, reading))
        elif kind == "item":
            text = _text(row, self.spec)
            found.versions.append(Version(row["item_id"], row["time_ms"], text, reading))
        else:
            found.feedback.append(_feedback(stream, row, reading))

    def _bury(self, one: Range, letters: pa.Table) -> None:
        """Dead letters that, for all that can be read of them, are of the user and the item."""
        for letter in letters.to_pylist():
            event = _parsed(letter["raw"])
            if (event.get("user_id"), event.get("item_id")) == (self.wanted.user, self.wanted.item):
                place = one.stream, one.name, letter["position"]
                self.found.unusable.append(Unusable(*place, letter["reason"], letter["field"]))


def _request(row: dict[str, Any], reading: Reading) -> Request:
    return Request(
        request_id=row["request_id"],
        time_ms=row["time_ms"],
        scenario=row["scenario"],
        query=row["query"],
        candidates=tuple(
            Candidate(one["item_id"], one["position"], one["exposed"]) for one in row["candidates"]
        ),
        reading=reading,
    )


def _feedback(stream: str, row: dict[str, Any], reading: Reading) -> Feedback:
    return Feedback(
        stream=stream,
        event_id=row["event_id"],
        time_ms=row["time_ms"],
        item=row["item_id"],
        scenario=row["scenario"],
        request_id=row["request_id"],
        value=row["value"],
        reading=reading,
    )


def _text(row: dict[str, Any], spec: Spec) -> str | None:
    """An item's title and the features that its text is made of; none without a title."""
    target = spec.target
    if row["title"] is None or target is None or target.searchify is None:
        return None
    words = [row["title"]]
    for name in target.searchify.text:
        value = row[name]
        words += [value] if isinstance(value, str) else value or []
    return " ".join(words)


def _parsed(raw: bytes) -> dict[str, Any]:
    try:
        event = json.loads(raw)
    except ValueError:
        return {}
    return event if isinstance(event, dict) else {}
