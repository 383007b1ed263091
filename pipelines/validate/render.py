"""Rows of a table as canonical JSON, for dead letters: sorted keys, no spaces, times as integers."""

import json
from typing import Any

import pyarrow as pa
from pyarrow import types


def canonical_json(table: pa.Table) -> list[bytes]:
    """One line for each row. Bytes that are not UTF-8 stay as they are."""
    plain = pa.schema([pa.field(part.name, _plain(part.type)) for part in table.schema])
    return [_line(row) for row in table.cast(plain, safe=False).to_pylist()]


def _line(row: dict[str, Any]) -> bytes:
    text = json.dumps(
        row, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_text
    )
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
