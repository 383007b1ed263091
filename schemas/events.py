"""What an event of each stream looks like, derived from the spec: Arrow and Avro forms.

Both forms list the same fields in the same order; a field that may be absent is nullable.
"""

from functools import cache
from typing import Any

import pyarrow as pa

from schemas.spec import Feature, Spec

_ARROW = {
    "id": pa.string(),
    "ids": pa.list_(pa.field("item", pa.string(), nullable=False)),
    "number": pa.float64(),
}


def arrow_schema(spec: Spec, stream: str) -> pa.Schema:
    """The Arrow schema of one stream's events. Raises KeyError for an unknown stream."""
    kind = spec.streams[stream].kind
    if kind == "exposure":
        return _exposure(spec)
    if kind == "item":
        return _item(spec)
    return _retraction() if kind == "retraction" else _feedback(spec)


def candidate_type(spec: Spec) -> pa.StructType:
    """One candidate of an exposure: item, position (0 is the top), exposed, features."""
    return pa.struct(
        [
            _required("item_id", pa.string()),
            _required("position", pa.int64()),
            _required("exposed", pa.bool_()),
            *_features(spec.owned_by("item", "cross")),
        ]
    )


def _exposure(spec: Spec) -> pa.Schema:
    candidates = pa.list_(_required("item", candidate_type(spec)))
    return pa.schema(
        [
            _required("request_id", pa.string()),
            _required("user_id", pa.string()),
            _required("time_ms", pa.int64()),
            _required("scenario", pa.string()),
            pa.field("query", pa.string()),
            *_features(spec.owned_by("user", "context", "query")),
            _required("candidates", candidates),
        ]
    )


def _feedback(spec: Spec) -> pa.Schema:
    carried = tuple(spec.features[name] for name in spec.sequences.features)
    return pa.schema(
        [
            _required("event_id", pa.string()),
            _required("user_id", pa.string()),
            _required("time_ms", pa.int64()),
            _required("item_id", pa.string()),
            pa.field("scenario", pa.string()),
            pa.field("request_id", pa.string()),
            pa.field("value", pa.float64()),
            *_features(carried),
        ]
    )


def _item(spec: Spec) -> pa.Schema:
    return pa.schema(
        [
            _required("item_id", pa.string()),
            _required("time_ms", pa.int64()),
            pa.field("title", pa.string()),
            *_features(spec.owned_by("item")),
        ]
    )


def _retraction() -> pa.Schema:
    names = ("stream", "event_id", "user_id")
    return pa.schema(
        [*(_required(name, pa.string()) for name in names), _required("time_ms", pa.int64())]
    )


def _features(features: tuple[Feature, ...]) -> list[pa.Field]:
    return [pa.field(feature.name, _ARROW[feature.type]) for feature in features]


def _required(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


def avro_schema(spec: Spec, stream: str) -> dict[str, Any]:
    """The Avro record schema of one stream's events, named after the stream."""
    return avro_record(stream, arrow_schema(spec, stream))


def avro_record(name: str, fields: pa.Schema | pa.StructType) -> dict[str, Any]:
    """The Avro record that holds the same fields as an Arrow schema or struct."""
    declared = [fields.field(index) for index in range(_width(fields))]
    return {
        "type": "record",
        "name": name,
        "fields": [_avro_field(name, field) for field in declared],
    }


def _width(fields: pa.Schema | pa.StructType) -> int:
    return len(fields) if isinstance(fields, pa.Schema) else int(fields.num_fields)


def _avro_field(record: str, field: pa.Field) -> dict[str, Any]:
    kind = _avro_type(f"{record}_{field.name}", field.type)
    if not field.nullable:
        return {"name": field.name, "type": kind}
    return {"name": field.name, "type": ["null", kind], "default": None}


def _avro_type(name: str, kind: pa.DataType) -> Any:
    if pa.types.is_struct(kind):
        return avro_record(name, kind)
    if pa.types.is_list(kind):
        item = _avro_type(name, kind.value_type)
        return {"type": "array", "items": ["null", item] if kind.value_field.nullable else item}
    return _avro_primitives()[kind]


@cache
def _avro_primitives() -> dict[pa.DataType, str]:
    return {
        pa.string(): "string",
        pa.int64(): "long",
        pa.int32(): "int",
        pa.float64(): "double",
        pa.bool_(): "boolean",
    }
