"""Between Arrow batches and Avro datums, and from an Avro schema back to an Arrow one."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyruhvro

from schemas.errors import StoreError
from schemas.windows.flat import Int64Array

AvroSchema = Mapping[str, Any]

_PRIMITIVES = {
    "string": pa.string(),
    "long": pa.int64(),
    "int": pa.int32(),
    "double": pa.float64(),
    "boolean": pa.bool_(),
}


def schema_text(schema: AvroSchema) -> str:
    """The schema as it stands in a file: one line, the same for the same schema."""
    return json.dumps(schema, ensure_ascii=False, separators=(",", ":"))


def encode(batch: pa.RecordBatch, schema: AvroSchema) -> tuple[pa.Buffer, Int64Array]:
    """The datums of a batch, one after the other, and the offsets [n + 1] that cut them."""
    datums = pyruhvro.serialize_record_batch(batch, schema_text(schema), 1)[0]
    offsets = np.frombuffer(datums.buffers()[1], dtype=np.int32, count=len(datums) + 1)
    return datums.buffers()[2], offsets.astype(np.int64)


def decode(datums: list[bytes], schema: AvroSchema, where: str) -> pa.RecordBatch:
    """The batch that the datums hold, in the Arrow form of their own schema."""
    declared = arrow_of_avro(schema)
    if not datums:
        return pa.RecordBatch.from_pylist([], schema=declared)
    try:
        return pyruhvro.deserialize_array(datums, schema_text(schema)).cast(declared)
    except ValueError as error:
        raise StoreError(
            f"{where}: expected records of the Avro schema in the file's header, received bytes "
            f"that are none ({error}). The file is damaged: restore it from a copy, or remove the "
            "window and build it again from its events."
        ) from error


def arrow_of_avro(schema: AvroSchema) -> pa.Schema:
    """The Arrow schema of an Avro record as `schemas.events.avro_record` makes them.

    Raises KeyError for a type that such records do not have.
    """
    return pa.schema([_field(field) for field in schema["fields"]])


def _field(field: Mapping[str, Any]) -> pa.Field:
    kind, optional = _type(field["type"])
    return pa.field(field["name"], kind, nullable=optional)


def _type(kind: Any) -> tuple[pa.DataType, bool]:
    """The Arrow type and whether it may be null."""
    if isinstance(kind, list):
        return _type(kind[1])[0], True
    if isinstance(kind, str):
        return _PRIMITIVES[kind], False
    if kind["type"] == "array":
        item, optional = _type(kind["items"])
        return pa.list_(pa.field("item", item, nullable=optional)), False
    return pa.struct([_field(field) for field in kind["fields"]]), False
