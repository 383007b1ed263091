"""From flat Polars frames to event tables with exactly the columns that a spec declares.

A declared column that the frame lacks is null; a column that nobody declared is dropped.
"""

import polars as pl
import pyarrow as pa

from schemas.events import arrow_schema, candidate_type
from schemas.spec import Spec


def event_table(spec: Spec, stream: str, frame: pl.DataFrame) -> pa.Table:
    """The events of an item or feedback stream, in the order of the frame."""
    schema = arrow_schema(spec, stream)
    return pa.Table.from_arrays([_column(frame, field) for field in schema], schema=schema)


def exposure_table(
    spec: Spec,
    stream: str,
    requests: pl.DataFrame,
    candidates: pl.DataFrame,
    offsets: pl.Series,
) -> pa.Table:
    """The events of the exposure stream: request i has candidates `offsets[i]:offsets[i + 1]`.

    requests: n rows; candidates: `offsets[n]` rows in the order of the requests; offsets: [n + 1].
    """
    schema = arrow_schema(spec, stream)
    lists = _lists(candidates, candidate_type(spec), offsets, schema.field("candidates").type)
    columns = [_column(requests, field) for field in schema if field.name != "candidates"]
    columns.insert(schema.get_field_index("candidates"), lists)
    return pa.Table.from_arrays(columns, schema=schema)


def _lists(
    frame: pl.DataFrame,
    fields: pa.StructType,
    offsets: pl.Series,
    kind: pa.ListType,
) -> pa.ListArray:
    declared = list(fields)
    columns = [_column(frame, field) for field in declared]
    structs = pa.StructArray.from_arrays(columns, fields=declared)
    return pa.ListArray.from_arrays(offsets.cast(pl.Int32).to_arrow(), structs, type=kind)


def _column(frame: pl.DataFrame, field: pa.Field) -> pa.Array:
    if field.name not in frame.columns:
        return pa.nulls(frame.height, field.type)
    return frame[field.name].to_arrow().cast(field.type)
