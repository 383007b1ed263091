"""The window record, derived from the spec: fixed part plus declared features.

`UserWindow` holds one user's window: sequences and candidates as structs of arrays. In the
record an `id` feature is its hash (null if missing), `ids` are hashes (empty if missing), a
`number` is a float64 (null if missing). Tiers and origins are codes of `schemas.labels`.
"""

from typing import Any

import pyarrow as pa

from schemas.events import avro_record
from schemas.spec import Feature, Spec

RECORD_VERSION = 2


def user_window_schema(spec: Spec) -> pa.Schema:
    """The Arrow schema of one `UserWindow`."""
    return pa.schema(
        [
            _required("user_id", pa.string()),
            _required("user", pa.int64()),
            _required("window_start_ms", pa.int64()),
            _required("history", sequence_type(spec)),
            _required("recent", sequence_type(spec)),
            _required("requests", pa.list_(_required("item", request_type(spec)))),
        ]
    )


def sequence_type(spec: Spec) -> pa.StructType:
    """H or R: equally long arrays, one entry an action, in (time, stream, event id) order.

    `item`, `action` (the stream's name) and `scenario` are hashes.
    """
    carried = tuple(spec.features[name] for name in spec.sequences.features)
    return pa.struct(
        [
            _required("time_ms", _array(pa.int64())),
            _required("item", _array(pa.int64())),
            _required("action", _array(pa.int64())),
            _required("scenario", _array(pa.int64(), nullable=True)),
            *(_feature_array(feature) for feature in carried),
        ]
    )


def request_type(spec: Spec) -> pa.StructType:
    """One request with its candidates as a struct of arrays."""
    return pa.struct(
        [
            _required("id", pa.string()),
            _required("time_ms", pa.int64()),
            _required("scenario", pa.string()),
            _required("domain", pa.string()),
            _required("origin_domain", pa.string()),
            pa.field("query", pa.string()),
            *_searchified(spec),
            *(_feature(feature) for feature in spec.owned_by("user", "context", "query")),
            _required("candidates", candidates_type(spec)),
        ]
    )


def _searchified(spec: Spec) -> list[pa.Field]:
    """What only requests made of foreign clicks have (rule 10); null on native ones."""
    if spec.target is None or spec.target.searchify is None:
        return []
    return [
        pa.field("source_request", pa.string()),
        pa.field("query_path", pa.int32()),
        pa.field("query_score", pa.float64()),
    ]


def candidates_type(spec: Spec) -> pa.StructType:
    """The kept candidates of one request: equally long arrays, in order of position."""
    return pa.struct(
        [
            _required("item", _array(pa.int64())),
            _required("item_id", _array(pa.string())),
            _required("origin", _array(pa.int32())),
            _required("position", _array(pa.int32())),
            _required("probability", _array(pa.float64())),
            *(_feature_array(feature) for feature in spec.owned_by("item", "cross")),
            _required("labels", labels_type(spec)),
        ]
    )


def labels_type(spec: Spec) -> pa.StructType:
    """One struct of arrays a task. A null value: the label is missing (rule 4's domains)."""
    return pa.struct([_required(task, label_type()) for task in spec.tasks])


def label_type() -> pa.StructType:
    """Value, tier code, event id, event time and open, one entry a candidate."""
    return pa.struct(
        [
            _required("value", _array(pa.float64(), nullable=True)),
            _required("tier", _array(pa.int32(), nullable=True)),
            _required("event_id", _array(pa.string(), nullable=True)),
            _required("time_ms", _array(pa.int64(), nullable=True)),
            _required("open", _array(pa.bool_())),
        ]
    )


def revision_schema() -> pa.Schema:
    """One revision: which sample, which task, its label before and after (rule 5)."""
    return pa.schema(
        [
            _required("window_start_ms", pa.int64()),
            _required("user_id", pa.string()),
            _required("user", pa.int64()),
            _required("request_time_ms", pa.int64()),
            _required("request_id", pa.string()),
            _required("item_id", pa.string()),
            _required("task", pa.string()),
            *_one_label("old"),
            *_one_label("new"),
            _required("retraction", pa.bool_()),
            _required("late", pa.bool_()),
        ]
    )


def _one_label(prefix: str) -> list[pa.Field]:
    return [
        _required(f"{prefix}_value", pa.float64()),
        pa.field(f"{prefix}_tier", pa.int32()),
        pa.field(f"{prefix}_event_id", pa.string()),
        pa.field(f"{prefix}_time_ms", pa.int64()),
        _required(f"{prefix}_open", pa.bool_()),
    ]


def user_window_avro(spec: Spec) -> dict[str, Any]:
    """The Avro schema of `UserWindow`."""
    return avro_record("UserWindow", user_window_schema(spec))


def revision_avro() -> dict[str, Any]:
    """The Avro schema of a revision."""
    return avro_record("Revision", revision_schema())


def _feature(feature: Feature) -> pa.Field:
    if feature.type == "ids":
        return _required(feature.name, _array(pa.int64()))
    return pa.field(feature.name, pa.int64() if feature.type == "id" else pa.float64())


def _feature_array(feature: Feature) -> pa.Field:
    one = _feature(feature)
    return _required(feature.name, pa.list_(pa.field("item", one.type, nullable=one.nullable)))


def _array(kind: pa.DataType, nullable: bool = False) -> pa.ListType:
    return pa.list_(pa.field("item", kind, nullable=nullable))


def _required(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)
