"""User windows as flat numpy arrays with offsets: nothing padded, nothing through dicts.

B users, A actions of a sequence, R requests, S samples
history, recent    offsets [B + 1] cut the A actions by user
requests           offsets [B + 1] cut the R requests by user
samples            offsets [R + 1] cut the S samples by request
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from schemas.windows.flat import (
    AnyArray,
    BoolArray,
    Int64Array,
    Lists,
    Values,
    feature,
    inner,
    nullable,
    numbers,
    split_list,
)

Features = Mapping[str, Values | Lists]
"""By name: `id` (int64) and `number` (float64) as Values, `ids` (int64) as Lists."""

_ACTION = ("time_ms", "item", "action", "scenario")
_MADE = {"source_request": pa.string(), "query_path": pa.int32(), "query_score": pa.float64()}
"""What records hold of requests made of foreign clicks, where the spec makes any."""
_REQUEST = (
    *("id", "time_ms", "scenario", "domain", "origin_domain", "query", "candidates"),
    *_MADE,
)
_SAMPLE = ("item", "item_id", "origin", "position", "probability", "labels")


@dataclass(frozen=True)
class PackedSequence:
    """H or R of B users."""

    offsets: Int64Array
    time_ms: Int64Array
    item: Int64Array
    action: Int64Array
    scenario: Values
    features: Features


@dataclass(frozen=True)
class PackedRequests:
    """R requests; strings stay in Arrow. `features` are the user's, context's and query's.

    `source_request`, `query_path` (a code of `schemas.labels`) and `query_score` are there on
    requests made of foreign clicks only; path and score are missing on all others.
    """

    offsets: Int64Array
    id: pa.StringArray
    time_ms: Int64Array
    scenario: pa.StringArray
    domain: pa.StringArray
    origin_domain: pa.StringArray
    query: pa.StringArray
    source_request: pa.StringArray
    query_path: Values
    query_score: Values
    features: Features


@dataclass(frozen=True)
class PackedLabels:
    """One task's labels of S samples. No valid `value`: missing; no valid `tier`: uncredited."""

    value: Values
    tier: Values
    event_id: pa.StringArray
    time_ms: Values
    open: BoolArray


@dataclass(frozen=True)
class PackedSamples:
    """S samples; `origin` is a code of `schemas.labels`. `features` are the item's and cross."""

    offsets: Int64Array
    item: Int64Array
    item_id: pa.StringArray
    origin: AnyArray
    position: AnyArray
    probability: AnyArray
    features: Features
    labels: Mapping[str, PackedLabels]


@dataclass(frozen=True)
class PackedUsers:
    """B users of one window."""

    user: Int64Array
    user_id: pa.StringArray
    window_start_ms: Int64Array
    history: PackedSequence
    recent: PackedSequence
    requests: PackedRequests
    samples: PackedSamples


def pack(batch: pa.RecordBatch) -> PackedUsers:
    """View a batch of `UserWindow` records as flat arrays; slices are handled.

    Raises StoreError where lists that must be equally long are not.
    """
    offsets, requests = split_list(batch.column("requests"))
    return PackedUsers(
        user=numbers(batch.column("user")),
        user_id=batch.column("user_id"),
        window_start_ms=numbers(batch.column("window_start_ms")),
        history=_sequence(batch.column("history"), "history"),
        recent=_sequence(batch.column("recent"), "recent"),
        requests=_requests(offsets, requests),
        samples=_samples(requests.field("candidates")),
    )


def _sequence(array: pa.StructArray, path: str) -> PackedSequence:
    offsets = split_list(array.field("time_ms"))[0]
    flat = _flatten(array, offsets, path)
    return PackedSequence(
        offsets=offsets,
        time_ms=numbers(flat["time_ms"]),
        item=numbers(flat["item"]),
        action=numbers(flat["action"]),
        scenario=nullable(flat["scenario"]),
        features=_features(flat, _ACTION),
    )


def _requests(offsets: Int64Array, array: pa.StructArray) -> PackedRequests:
    columns = {field.name: array.field(field.name) for field in array.type}
    made = [columns.get(name, pa.nulls(len(array), kind)) for name, kind in _MADE.items()]
    source_request, query_path, query_score = made
    return PackedRequests(
        offsets=offsets,
        id=columns["id"],
        time_ms=numbers(columns["time_ms"]),
        scenario=columns["scenario"],
        domain=columns["domain"],
        origin_domain=columns["origin_domain"],
        query=columns["query"],
        source_request=source_request,
        query_path=nullable(query_path),
        query_score=nullable(query_score),
        features=_features(columns, _REQUEST),
    )


def _samples(array: pa.StructArray) -> PackedSamples:
    offsets = split_list(array.field("item"))[0]
    flat = _flatten(array, offsets, "requests.candidates")
    return PackedSamples(
        offsets=offsets,
        item=numbers(flat["item"]),
        item_id=flat["item_id"],
        origin=numbers(flat["origin"]),
        position=numbers(flat["position"]),
        probability=numbers(flat["probability"]),
        features=_features(flat, _SAMPLE),
        labels={
            task.name: _labels(array.field("labels").field(task.name), offsets, task.name)
            for task in array.type.field("labels").type
        },
    )


def _labels(array: pa.StructArray, offsets: Int64Array, task: str) -> PackedLabels:
    flat = _flatten(array, offsets, f"requests.candidates.labels.{task}")
    return PackedLabels(
        value=nullable(flat["value"]),
        tier=nullable(flat["tier"]),
        event_id=flat["event_id"],
        time_ms=nullable(flat["time_ms"]),
        open=numbers(flat["open"]).astype(np.bool_, copy=False),
    )


def _flatten(array: pa.StructArray, offsets: Int64Array, path: str) -> dict[str, pa.Array]:
    """The list children of a struct of arrays, flattened, by name."""
    return {
        field.name: inner(array.field(field.name), offsets, f"{path}.{field.name}")
        for field in array.type
        if pa.types.is_list(field.type)
    }


def _features(columns: Mapping[str, pa.Array], fixed: tuple[str, ...]) -> Features:
    return {name: feature(column) for name, column in columns.items() if name not in fixed}
