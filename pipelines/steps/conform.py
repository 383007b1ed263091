"""Rows that an older spec made, in the schema of one that has grown: what is new in it is null."""

import pyarrow as pa
from pyarrow import types


def conformed(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The same rows with all fields of a schema, and then those whose names begin with `_`."""
    table = table.combine_chunks()
    columns = {field.name: _column(table, field) for field in schema}
    own = {name: table[name] for name in table.column_names if name.startswith("_")}
    fields = [*schema, *(table.schema.field(name) for name in own)]
    return pa.table({**columns, **own}, schema=pa.schema(fields))


def _column(table: pa.Table, field: pa.Field) -> pa.Array:
    if field.name not in table.column_names:
        return pa.nulls(table.num_rows, field.type)
    chunks = [_array(chunk, field.type) for chunk in table[field.name].chunks]
    return pa.concat_arrays(chunks) if chunks else pa.nulls(0, field.type)


def _array(array: pa.Array, kind: pa.DataType) -> pa.Array:
    if array.type.equals(kind):
        return array
    if types.is_list(kind):
        items = _array(array.values, kind.value_type)
        return pa.ListArray.from_arrays(array.offsets, items, type=kind)
    if types.is_struct(kind):
        names = [part.name for part in array.type]
        parts = [
            _array(array.field(part.name), part.type)
            if part.name in names
            else pa.nulls(len(array), part.type)
            for part in kind
        ]
        return pa.StructArray.from_arrays(parts, fields=list(kind))
    return array.cast(kind)
