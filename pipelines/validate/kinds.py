"""The Arrow form in which raw events are parsed: as declared, but anything may be absent."""

import pyarrow as pa

from schemas.events import arrow_schema
from schemas.spec import Spec

TIME = "time_ms"
EXPOSED = "exposed"
"""True where a candidate does not say."""

IDS = ("request_id", "user_id", "event_id", "item_id")
"""Fields that identify something; an empty one names nothing."""

ID_LIMIT_BYTES = 1024
TEXT_LIMIT_BYTES = 64 * 1024
POSITION_LIMIT = 2**31 - 1
YEAR_10000_MS = 253_402_300_800_000


def loose_schema(spec: Spec, stream: str) -> pa.Schema:
    """The stream's schema with every field nullable and times that may carry a fraction."""
    return pa.schema([_loose(field) for field in arrow_schema(spec, stream)])


def _loose(field: pa.Field) -> pa.Field:
    if field.name == TIME:
        return pa.field(TIME, pa.float64())
    return pa.field(field.name, _loose_type(field.type))


def _loose_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_list(kind):
        return pa.list_(pa.field("item", _loose_type(kind.value_type)))
    if pa.types.is_struct(kind):
        return pa.struct([_loose(kind.field(index)) for index in range(kind.num_fields)])
    return kind
