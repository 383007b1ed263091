"""Event tables as Avro object container files, encoded column-wise.

The writer's schema is the spec's own (`schemas.events.avro_schema`), nothing made nullable, and
equal tables give equal bytes: the sync marker is derived from the schema.
"""

import hashlib
import io
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from fastavro import schemaless_writer
from pyruhvro import serialize_record_batch

BLOCK_ROWS = 8_192

_HEADER: dict[str, Any] = {
    "type": "record",
    "name": "org.apache.avro.file.Header",
    "fields": [
        {"name": "magic", "type": {"type": "fixed", "name": "Magic", "size": 4}},
        {"name": "meta", "type": {"type": "map", "values": "bytes"}},
        {"name": "sync", "type": {"type": "fixed", "name": "Sync", "size": 16}},
    ],
}


def write_avro(table: pa.Table, schema: dict[str, Any], file: Path) -> None:
    """Write a table as one container file, deflated, in blocks of at most 8,192 events."""
    with file.open("wb") as stream:
        stream.writelines(container(table, schema))


def container(table: pa.Table, schema: dict[str, Any]) -> Iterator[bytes]:
    """The parts of such a container: its header, then block after block."""
    text = json.dumps(schema)
    marker = hashlib.blake2b(text.encode(), digest_size=16).digest()
    yield _header(text, marker)
    for batch in table.combine_chunks().to_batches(max_chunksize=BLOCK_ROWS):
        yield _block(batch, text) + marker


def _header(schema: str, marker: bytes) -> bytes:
    meta = {"avro.schema": schema.encode(), "avro.codec": b"deflate"}
    return _encode(_HEADER, {"magic": b"Obj\x01", "meta": meta, "sync": marker})


def _block(batch: pa.RecordBatch, schema: str) -> bytes:
    (datums,) = serialize_record_batch(batch, schema, 1)
    deflate = zlib.compressobj(level=1, wbits=-15)
    packed = deflate.compress(_bytes(datums)) + deflate.flush()
    return _encode("long", len(datums)) + _encode("long", len(packed)) + packed


def _bytes(datums: pa.BinaryArray) -> memoryview:
    """All datums of an array end to end, without copying."""
    _, offsets, values = datums.buffers()
    ends = np.frombuffer(offsets, np.int32)[datums.offset : datums.offset + len(datums) + 1]
    return memoryview(values)[ends[0] : ends[-1]]


def _encode(schema: Any, value: Any) -> bytes:
    out = io.BytesIO()
    schemaless_writer(out, schema, value)
    return out.getvalue()
