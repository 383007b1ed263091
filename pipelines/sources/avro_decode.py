"""Rows of Avro blocks that are not compressed, as a table.

Polars decodes the types that it knows; a schema with any other is read row by row, slowly.
"""

import io
import json
from collections.abc import Sequence
from typing import Any

import fastavro
import polars as pl
import pyarrow as pa

from pipelines.sources.avro_blocks import Content, framed

Columns = tuple[str, ...]

_PRIMITIVES = ("null", "boolean", "int", "long", "float", "double", "bytes", "string")


def decode(schema: bytes, contents: Sequence[Content], columns: Columns) -> pa.Table | None:
    """The rows; columns other than these may be left out. None if they are not what they should be.

    The schema is in JSON.
    """
    try:
        table = _decode(framed(schema, contents), json.loads(schema), columns)
    except (Exception, pl.exceptions.PanicException):  # noqa: BLE001  each library has its own
        return None
    return table if len(table) == sum(rows for rows, _ in contents) else None


def _decode(container: bytes, schema: Any, columns: Columns) -> pa.Table:
    if _is_known_to_polars(schema):
        return pl.read_avro(io.BytesIO(container)).to_arrow()
    records: Any = fastavro.reader(io.BytesIO(container))
    rows = [{name: row[name] for name in columns if name in row} for row in records]
    return pa.Table.from_pylist(rows)


def _is_known_to_polars(schema: Any) -> bool:
    """Whether there is no map, no reference to a named type and no union but with null."""
    if isinstance(schema, list):
        kinds = [kind for kind in schema if kind != "null"]
        return len(kinds) == 1 and len(schema) == 2 and _is_known_to_polars(kinds[0])
    if not isinstance(schema, dict):
        return schema in _PRIMITIVES
    if schema["type"] == "record":
        return all(_is_known_to_polars(field["type"]) for field in schema["fields"])
    if schema["type"] == "array":
        return _is_known_to_polars(schema["items"])
    return schema["type"] in ("enum", "fixed") or _is_known_to_polars(schema["type"])
