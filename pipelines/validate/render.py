"""Refused rows as canonical JSON, for dead letters: sorted keys, no spaces."""

import json
from typing import Any

import pyarrow as pa
from pyarrow import types

from pipelines.sources.raw import Int64Array
from pipelines.validate.kinds import TIME
from pipelines.validate.nodes import Node


def as_json(table: pa.Table, top: tuple[Node, ...], at: Int64Array) -> list[bytes]:
    """The declared fields of some rows, one line for each row.

    Times are in milliseconds where they could be read; bytes that are not UTF-8 stay as they are.
    """
    places = [table.schema.get_all_field_indices(node.path) for node in top]
    kept = [found[-1] for found in places if found]
    if not kept or not len(at):
        return [b"{}"] * len(at)
    rows = table.select(kept)
    time = next(node for node in top if node.path == TIME)
    if TIME in rows.column_names and types.is_temporal(rows.schema.field(TIME).type):
        rows = rows.set_column(rows.column_names.index(TIME), TIME, time.values)
    return _lines(rows.take(pa.array(at)))


def _lines(table: pa.Table) -> list[bytes]:
    plain = pa.schema([pa.field(part.name, _plain(part.type)) for part in table.schema])
    return [_line(row) for row in table.cast(plain, safe=False).to_pylist()]


def _line(row: dict[str, Any]) -> bytes:
    text = json.dumps(row, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_text)
    return text.encode("utf-8", "surrogateescape")


def _text(value: object) -> str:
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)


def _plain(kind: pa.DataType) -> pa.DataType:
    """The type whose values Python can always hold."""
    if types.is_dictionary(kind):
        return _plain(kind.value_type)
    if types.is_string(kind) or types.is_string_view(kind):
        return pa.binary()
    if types.is_large_string(kind):
        return pa.large_binary()
    if types.is_date32(kind):
        return pa.int32()
    if types.is_temporal(kind) and not types.is_time32(kind):
        return pa.int64()
    if types.is_list(kind) or types.is_large_list(kind):
        return _list_of(kind)(_plain(kind.value_type))
    if types.is_struct(kind):
        return pa.struct([pa.field(part.name, _plain(part.type)) for part in kind])
    return kind


def _list_of(kind: pa.DataType) -> Any:
    return pa.large_list if types.is_large_list(kind) else pa.list_
