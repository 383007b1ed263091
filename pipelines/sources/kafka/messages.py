"""Kafka messages of one stream to raw rows, each by the bytes with which it begins.

`Obj\x01`    an Avro container of many events
`\xc3\x01`   one event in Avro's single-object encoding
anything else is one event in JSON. The position of an event is the offset of its message.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.dead_letters import DeadLetter
from pipelines.sources.avro_blocks import MAGIC, open_container
from pipelines.sources.kafka.packs import Packs
from pipelines.sources.kafka.single_object import HEADER_BYTES, MARKER, decode_datums, header_of
from pipelines.sources.raw import Content, Int64Array, JsonLines, Rows
from schemas.events import arrow_schema, avro_schema
from schemas.spec import Spec


@dataclass(frozen=True)
class Messages:
    """Values of messages and their offsets in one partition, shape [n]; None is no value."""

    values: Sequence[bytes | None]
    offsets: Int64Array

    def take(self, at: Int64Array) -> "Messages":
        """Some of them."""
        return Messages([self.values[one] for one in at.tolist()], self.offsets[at])


def decode(
    spec: Spec, stream: str, messages: Messages
) -> tuple[tuple[Content, ...], list[DeadLetter]]:
    """What can be read of the messages, and dead letters for what cannot."""
    heads = pa.array([value and value[: len(MAGIC)] for value in messages.values], pa.binary())
    filled = _where(pc.greater(pc.binary_length(heads), 0))
    container = _where(pc.starts_with(heads, MAGIC))
    single = _where(pc.starts_with(heads, MARKER))
    letters = _letters(messages, np.flatnonzero(~filled), "empty_message")
    packed, damaged = _packs(spec, stream, messages.take(np.flatnonzero(container)))
    datums, refused = _single(spec, stream, messages.take(np.flatnonzero(single)))
    lines = _json(messages.take(np.flatnonzero(filled & ~container & ~single)))
    return (*lines, *packed, *datums), [*letters, *damaged, *refused]


def rows_in(value: bytes | None) -> int:
    """How many events a message holds, or seems to."""
    if value is None or not value.startswith(MAGIC):
        return 1
    container = open_container(value)
    blocks = [] if container is None else container.blocks(container.first, len(value))
    return max(1, sum(block.rows for block in blocks))


def _where(condition: pa.Array) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return np.asarray(pc.fill_null(condition, False).to_numpy(zero_copy_only=False), np.bool_)


def _letters(messages: Messages, at: Int64Array, reason: str) -> list[DeadLetter]:
    chosen = messages.take(at)
    pairs = zip(chosen.offsets.tolist(), chosen.values, strict=True)
    return [DeadLetter(offset, reason, None, value or b"") for offset, value in pairs]


def _json(messages: Messages) -> list[Content]:
    if not messages.values:
        return []
    values = [value for value in messages.values if value is not None]
    stops = np.cumsum(np.fromiter(map(len, values), np.int64, len(values)) + 1) - 1
    return [JsonLines(b"\n".join(values), positions=messages.offsets, stops=stops)]


def _packs(spec: Spec, stream: str, messages: Messages) -> tuple[list[Rows], list[DeadLetter]]:
    filled = ((value or b"") for value in messages.values)
    numbered = zip(messages.offsets.tolist(), filled, strict=True)
    packs = Packs.read(numbered, tuple(arrow_schema(spec, stream).names))
    return packs.rows(), packs.letters


def _single(spec: Spec, stream: str, messages: Messages) -> tuple[list[Content], list[DeadLetter]]:
    if not messages.values:
        return [], []
    schema = avro_schema(spec, stream)
    values = pa.array(messages.values, pa.binary())
    known = _where(pc.starts_with(values, header_of(schema)))
    short = _where(pc.less(pc.binary_length(values), HEADER_BYTES))
    letters = _letters(messages, np.flatnonzero(short), "bad_avro")
    letters += _letters(messages, np.flatnonzero(~known & ~short), "unknown_schema")
    ours = messages.take(np.flatnonzero(known))
    datums = [(value or b"")[HEADER_BYTES:] for value in ours.values]
    table, numbers = decode_datums(datums, schema) if datums else (pa.table({}), np.empty(0, int))
    damaged = np.setdiff1d(np.arange(len(datums)), numbers)
    letters += _letters(ours, damaged, "bad_avro")
    return [Rows(table, ours.offsets[numbers])] if len(numbers) else [], letters
