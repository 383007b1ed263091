"""Read and validate: rows of Parquet files → events as dicts, or dead letters."""

import json
import math
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import pyarrow.parquet as pq

from pipelines.dead_letters import EVENT_REASONS
from pipelines.validate.kinds import (
    ID_LIMIT_BYTES,
    IDS,
    POSITION_LIMIT,
    TEXT_LIMIT_BYTES,
    YEAR_10000_MS,
)
from schemas.spec import FEEDBACK_KINDS, Spec

Fields = dict[str, Any]
Event = tuple[str, str, int, Fields]
"""Stream, file, row in it, and what the event says."""

DEAD_LETTERS = "dead letters"

REQUIRED = {
    "exposure": ("request_id", "user_id", "scenario"),
    "click": ("event_id", "user_id", "item_id"),
    "conversion": ("event_id", "user_id", "item_id"),
    "retraction": ("event_id", "user_id", "stream"),
}
SHORT_CHARACTERS = ID_LIMIT_BYTES // 4
"""No text of so few characters is too long."""


def read(file: tuple[str, str]) -> Iterator[Event]:
    """The events of one stream's file."""
    stream, path = file
    rows = pq.read_table(path, use_threads=False).to_pylist()
    for position, fields in enumerate(rows):
        yield stream, path, position, fields


class Validate(beam.DoFn):
    """Events → usable events and, tagged, dead letters."""

    def __init__(self, spec: Spec, now_ms: int) -> None:
        self.latest_ms = now_ms + spec.time.max_ahead_ms
        self.scenarios = frozenset(spec.scenarios)
        self.feedback = frozenset(stream.name for stream in spec.of_kind(*FEEDBACK_KINDS))
        self.kinds = {stream.name: stream.kind for stream in spec.streams.values()}

    def process(self, event: Event) -> Iterator[Any]:
        faults = self._faults(self.kinds[event[0]], event[3])
        reason = min(faults, key=EVENT_REASONS.index, default=None)
        if reason is None:
            yield event
        else:
            yield beam.pvalue.TaggedOutput(DEAD_LETTERS, dead_letter(event, reason))

    def _faults(self, kind: str, fields: Fields) -> Iterator[str]:
        """All that speaks against an event."""
        yield from self._time_faults(fields["time_ms"])
        yield from _value_faults(fields, REQUIRED[kind])
        if kind == "retraction":
            if fields["stream"] not in self.feedback:
                yield "unknown_stream"
        elif fields["scenario"] is not None and fields["scenario"] not in self.scenarios:
            yield "unknown_scenario"
        if kind == "exposure":
            yield from _list_faults(fields["candidates"])

    def _time_faults(self, time_ms: int | None) -> Iterator[str]:
        if time_ms is None:
            yield "missing_field"
        elif time_ms > self.latest_ms:
            yield "future"
        elif not 0 <= time_ms < YEAR_10000_MS:
            yield "bad_time"


def _value_faults(fields: Fields, required: tuple[str, ...]) -> Iterator[str]:
    for name in required:
        if not fields[name]:
            yield "missing_field"
    for name, value in fields.items():
        if type(value) is str:
            if len(value) > SHORT_CHARACTERS and _is_too_long(name, value):
                yield "too_long"
        elif type(value) is float and not math.isfinite(value):
            yield "bad_number"


def _is_too_long(name: str, value: str) -> bool:
    return len(value.encode()) > (ID_LIMIT_BYTES if name in IDS else TEXT_LIMIT_BYTES)


def _list_faults(candidates: list[Fields] | None) -> Iterator[str]:
    if not candidates:
        yield "missing_field" if candidates is None else "no_candidates"
        return
    positions = {candidate["position"] for candidate in candidates}
    if None in positions:
        yield "missing_field"
    elif (
        len(positions) < len(candidates)
        or not 0 <= min(positions) <= max(positions) < POSITION_LIMIT
    ):
        yield "bad_position"
    for candidate in candidates:
        yield from _value_faults(candidate, ("item_id",))


def dead_letter(event: Event, reason: str) -> Fields:
    """An event that could not be used, and why."""
    stream, source, position, fields = event
    raw = json.dumps(fields, ensure_ascii=False)
    place = {"stream": stream, "source": source, "position": position}
    return {**place, "reason": reason, "raw": raw}
