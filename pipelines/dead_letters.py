"""Dead letters: what could not be used, why, and the bytes it came as."""

from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa

RAW_LIMIT_BYTES = 64 * 1024

DEAD_LETTER_SCHEMA = pa.schema(
    [
        pa.field("stream", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("position", pa.int64(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("field", pa.string()),
        pa.field("raw", pa.binary(), nullable=False),
        pa.field("raw_bytes", pa.int64(), nullable=False),
    ]
)
"""`raw` holds the first `RAW_LIMIT_BYTES`; it was cut if `raw_bytes`, the full size, is larger."""

FILE_REASONS = ("truncated", "unreadable_file")
"""Reasons that concern a stretch of a file and not one event."""

MESSAGE_REASONS = ("empty_message", "unknown_schema", "bad_avro", "deleted")
"""Reasons that concern a Kafka message, or a stretch of messages that was deleted unread."""

EVENT_REASONS = (
    "future",
    "bad_json",
    "bad_utf8",
    "not_an_object",
    "missing_field",
    "wrong_type",
    "bad_time",
    "too_long",
    "unknown_scenario",
    "unknown_stream",
    "missing_value",
    "out_of_vocabulary",
    "bad_number",
    "no_candidates",
    "bad_position",
)
"""Why one event is refused, in the order in which the reasons are tried."""

MEMORY_REASONS = ("late", "unmatched")
"""Why an event is refused for what was read, or not read, before it."""

REASONS = (*EVENT_REASONS, *MEMORY_REASONS, *MESSAGE_REASONS, *FILE_REASONS)
"""All reasons."""


@dataclass(frozen=True)
class DeadLetter:
    """One refused event or one unreadable stretch of a file; `field` is a path or None."""

    position: int
    reason: str
    field: str | None
    raw: bytes


def dead_letter_table(stream: str, source: str, letters: Iterable[DeadLetter]) -> pa.Table:
    """The letters of one source as a table of `DEAD_LETTER_SCHEMA`."""
    letters = list(letters)
    columns = [
        pa.repeat(stream, len(letters)),
        pa.repeat(source, len(letters)),
        pa.array([letter.position for letter in letters], pa.int64()),
        pa.array([letter.reason for letter in letters], pa.string()),
        pa.array([letter.field for letter in letters], pa.string()),
        pa.array([letter.raw[:RAW_LIMIT_BYTES] for letter in letters], pa.binary()),
        pa.array([len(letter.raw) for letter in letters], pa.int64()),
    ]
    return pa.table(columns, schema=DEAD_LETTER_SCHEMA)
