"""Avro single-object encoding: a marker, the fingerprint of the writer's schema, one datum.

Avro 1.11 specification, "Single-object encoding" and "Schema Fingerprints".
"""

import io
import json
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from fastavro import schemaless_reader
from fastavro.schema import fingerprint, to_parsing_canonical_form
from pyruhvro import deserialize_array, serialize_record_batch

from pipelines.sources.raw import Int64Array

MARKER = b"\xc3\x01"
HEADER_BYTES = 10

AvroSchema = dict[str, Any]


def header_of(schema: AvroSchema) -> bytes:
    """What precedes every datum of a schema: marker and CRC-64-AVRO, little endian."""
    text = to_parsing_canonical_form(schema)
    return MARKER + bytes.fromhex(fingerprint(text, "CRC-64-AVRO"))


def decode_datums(datums: list[bytes], schema: AvroSchema) -> tuple[pa.Table, Int64Array]:
    """The datums that hold just what the schema says, as rows, and the number of each."""
    parts = [part for part in _decode(datums, json.dumps(schema), 0) if len(part[1])]
    if not parts:
        return pa.table({}), np.empty(0, np.int64)
    numbers = np.concatenate([numbers for _, numbers in parts])
    table = pa.Table.from_batches([batch for batch, _ in parts])
    whole = _whole(table, datums, numbers, schema)
    return table.filter(pa.array(whole)), numbers[whole]


def _decode(
    datums: list[bytes], schema: str, first: int
) -> list[tuple[pa.RecordBatch, Int64Array]]:
    """Rows of the datums that can be read; halves of what cannot be read at once are tried."""
    try:
        batch = deserialize_array(datums, schema)
        return [(batch, np.arange(first, first + len(datums)))]
    except ValueError:
        half = len(datums) // 2
        if not half:
            return []
        return _decode(datums[:half], schema, first) + _decode(datums[half:], schema, first + half)


def _whole(
    table: pa.Table, datums: list[bytes], numbers: Int64Array, schema: AvroSchema
) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which datums end where their last field does; the decoder ignores what follows.

    Encoded again, a datum is what it was, unless its writer cut arrays into blocks: those are read
    once more.
    """
    (again,) = serialize_record_batch(table.combine_chunks().to_batches()[0], json.dumps(schema), 1)
    read = pa.array([datums[at] for at in numbers.tolist()], pa.binary())
    same = pc.equal(again.cast(pa.binary()), read)
    whole = np.array(same.to_numpy(zero_copy_only=False), np.bool_)
    for at in np.flatnonzero(~whole):
        whole[at] = _ends(datums[numbers[at]], schema)
    return whole


def _ends(datum: bytes, schema: AvroSchema) -> bool:
    stream = io.BytesIO(datum)
    try:
        schemaless_reader(stream, schema, None)
    except (ValueError, EOFError, IndexError, OverflowError):
        return False
    return stream.tell() == len(datum)
