"""Whether records that are about to be written have the declared schema."""

from collections.abc import Collection

import pyarrow as pa

from schemas.errors import StoreError
from schemas.windows.order import in_order


def as_declared(records: pa.RecordBatch | pa.Table, schema: pa.Schema, where: str) -> pa.Table:
    """The records as a table of exactly this schema.

    Raises StoreError for another field or type, and for a null in a field that has none: the
    encoder would write it as zero.
    """
    table = pa.table(records) if isinstance(records, pa.RecordBatch) else records
    if table.schema.names != schema.names:
        raise _refused(where, f"the fields {schema.names}", str(table.schema.names))
    try:
        declared = table.cast(schema)
    except (pa.ArrowException, ValueError) as error:
        raise _refused(where, "records of the spec's schema", str(error)) from error
    for name, field in zip(schema.names, schema, strict=True):
        for chunk in declared.column(name).chunks:
            _refuse_nulls(chunk, field, f"{where}: {name}")
    return declared


def refuse_disorder(user_id: pa.ChunkedArray, where: str) -> None:
    """Raise StoreError unless users stand in the order of their ids, each once."""
    if not in_order([user_id.combine_chunks()], strict=True).all():
        raise _refused(where, "users sorted by the bytes of their ids, each once", "others")


def refuse_unknown(task: pa.ChunkedArray, tasks: Collection[str], where: str) -> None:
    """Raise StoreError for a task that the spec does not have."""
    unknown = [name for name in task.unique().to_pylist() if name not in tasks]
    if unknown:
        raise _refused(where, f"tasks among {', '.join(tasks)}", ", ".join(unknown))


def _refuse_nulls(array: pa.Array, field: pa.Field, where: str) -> None:
    if not field.nullable and array.null_count:
        raise _refused(where, "no null", f"{array.null_count} nulls")
    if pa.types.is_struct(field.type):
        for child in field.type:
            _refuse_nulls(array.field(child.name), child, f"{where}.{child.name}")
    elif pa.types.is_list(field.type):
        _refuse_nulls(array.flatten(), field.type.value_field, where)


def _refused(where: str, expected: str, received: str) -> StoreError:
    return StoreError(
        f"{where}: expected {expected}, received {received}. Nothing was written; make the records "
        "with the functions of schemas.record and the same spec."
    )
