"""Reading old records under a grown spec, as Avro's schema resolution has it.

A field that the file lacks takes its default: null, an empty list, or, in a struct of arrays,
as many nulls (empty lists, false) as its other arrays have entries. A field that the reader
lacks is dropped. Arrays that need no change are not copied.
"""

import numpy as np
import pyarrow as pa

from schemas.errors import StoreError
from schemas.windows.flat import Int64Array, split_list

Lengths = Int64Array | None
"""Offsets that all arrays of a struct of arrays share; None elsewhere."""


def resolve(batch: pa.RecordBatch, schema: pa.Schema, where: str) -> pa.RecordBatch:
    """The batch under the reader's schema.

    Raises StoreError for a field whose type is another, or that has no default.
    """
    if batch.schema.equals(schema):
        return batch
    whole = pa.struct(list(schema))
    return pa.RecordBatch.from_struct_array(_struct(batch.to_struct_array(), whole, None, where))


def _resolve(array: pa.Array, kind: pa.DataType, lengths: Lengths, where: str) -> pa.Array:
    if array.type == kind:
        return array
    if pa.types.is_struct(kind) and pa.types.is_struct(array.type):
        return _struct(array, kind, lengths, where)
    if pa.types.is_list(kind) and pa.types.is_list(array.type):
        offsets, values = split_list(array)
        items = _resolve(values, kind.value_type, None, where)
        return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), items, type=kind)
    raise _unresolved(where, str(kind), str(array.type))


def _struct(array: pa.StructArray, kind: pa.StructType, outer: Lengths, where: str) -> pa.Array:
    lengths = _own_lengths(array, outer)
    held = {field.name for field in array.type}
    columns = [
        _resolve(array.field(field.name), field.type, lengths, f"{where}.{field.name}")
        if field.name in held
        else _default(field, len(array), lengths, f"{where}.{field.name}")
        for field in kind
    ]
    return pa.StructArray.from_arrays(columns, fields=list(kind))


def _own_lengths(array: pa.StructArray, outer: Lengths) -> Lengths:
    """The offsets of a struct of arrays: such structs have a list of items, or lie in one."""
    position = array.type.get_field_index("item")
    if position >= 0 and pa.types.is_list(array.type.field(position).type):
        return split_list(array.field("item"))[0]
    return outer


def _default(field: pa.Field, rows: int, lengths: Lengths, where: str) -> pa.Array:
    if pa.types.is_struct(field.type):
        columns = [_default(child, rows, lengths, f"{where}.{child.name}") for child in field.type]
        return pa.StructArray.from_arrays(columns, fields=list(field.type))
    if pa.types.is_list(field.type):
        return _default_list(field.type, rows, lengths, where)
    if field.nullable or rows == 0:
        return pa.nulls(rows, field.type)
    if field.type == pa.bool_():
        return pa.repeat(pa.scalar(False), rows)
    raise _unresolved(where, f"a field of type {field.type}", "no such field")


def _default_list(kind: pa.ListType, rows: int, lengths: Lengths, where: str) -> pa.Array:
    offsets = np.zeros(rows + 1, dtype=np.int64) if lengths is None else lengths
    items = _default(kind.value_field, int(offsets[-1]), None, where)
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), items, type=kind)


def _unresolved(where: str, expected: str, received: str) -> StoreError:
    return StoreError(
        f"{where}: the spec expects {expected}, the file's records have {received}. A feature may "
        "be added or dropped, but not change its type: give it another name in the spec, or build "
        "the windows again from their events."
    )
