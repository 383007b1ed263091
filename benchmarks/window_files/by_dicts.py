"""What `schemas.windows.pack` does, from the dicts that fastavro gives."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa

from schemas.spec import Spec
from schemas.windows import (
    Lists,
    PackedLabels,
    PackedRequests,
    PackedSamples,
    PackedSequence,
    PackedUsers,
    Values,
)

Record = Mapping[str, Any]


def pack_dicts(records: list[Record], spec: Spec) -> PackedUsers:
    """What `pack` does, from dicts."""
    requests = [request for record in records for request in record["requests"]]
    return PackedUsers(
        user=_ints(record["user"] for record in records),
        user_id=pa.array([record["user_id"] for record in records], pa.string()),
        window_start_ms=_ints(record["window_start_ms"] for record in records),
        history=_sequence([record["history"] for record in records], spec),
        recent=_sequence([record["recent"] for record in records], spec),
        requests=_requests(_offsets([record["requests"] for record in records]), requests, spec),
        samples=_samples([request["candidates"] for request in requests], spec),
    )


def _sequence(parts: list[Record], spec: Spec) -> PackedSequence:
    return PackedSequence(
        offsets=_offsets([part["item"] for part in parts]),
        time_ms=_ints(_flat(parts, "time_ms")),
        item=_ints(_flat(parts, "item")),
        action=_ints(_flat(parts, "action")),
        scenario=_values(list(_flat(parts, "scenario")), np.int64),
        features={
            name: _feature(list(_flat(parts, name)), spec, name) for name in spec.sequences.features
        },
    )


def _requests(offsets: Any, requests: list[Record], spec: Spec) -> PackedRequests:
    owned = spec.owned_by("user", "context", "query")
    return PackedRequests(
        offsets=offsets,
        id=_strings([request["id"] for request in requests]),
        time_ms=_ints(request["time_ms"] for request in requests),
        scenario=_strings([request["scenario"] for request in requests]),
        domain=_strings([request["domain"] for request in requests]),
        origin_domain=_strings([request["origin_domain"] for request in requests]),
        query=_strings([request["query"] for request in requests]),
        source_request=_strings([request.get("source_request") for request in requests]),
        query_path=_values([request.get("query_path") for request in requests], np.int32),
        query_score=_values([request.get("query_score") for request in requests], np.float64),
        features={
            feature.name: _feature([one[feature.name] for one in requests], spec, feature.name)
            for feature in owned
        },
    )


def _samples(parts: list[Record], spec: Spec) -> PackedSamples:
    return PackedSamples(
        offsets=_offsets([part["item"] for part in parts]),
        item=_ints(_flat(parts, "item")),
        item_id=_strings(list(_flat(parts, "item_id"))),
        origin=np.fromiter(_flat(parts, "origin"), np.int32),
        position=np.fromiter(_flat(parts, "position"), np.int32),
        probability=np.fromiter(_flat(parts, "probability"), np.float64),
        features={
            feature.name: _feature(list(_flat(parts, feature.name)), spec, feature.name)
            for feature in spec.owned_by("item", "cross")
        },
        labels={task: _labels([part["labels"][task] for part in parts]) for task in spec.tasks},
    )


def _labels(parts: list[Record]) -> PackedLabels:
    return PackedLabels(
        value=_values(list(_flat(parts, "value")), np.float64),
        tier=_values(list(_flat(parts, "tier")), np.int32),
        event_id=_strings(list(_flat(parts, "event_id"))),
        time_ms=_values(list(_flat(parts, "time_ms")), np.int64),
        open=np.fromiter(_flat(parts, "open"), np.bool_),
    )


def _feature(column: list[Any], spec: Spec, name: str) -> Values | Lists:
    kind = spec.features[name].type
    if kind == "ids":
        return Lists(_ints(chain.from_iterable(column)), _offsets(column))
    return _values(column, np.int64 if kind == "id" else np.float64)


def _values(column: list[Any], dtype: Any) -> Values:
    valid = np.fromiter((value is not None for value in column), np.bool_, len(column))
    filled = (0 if value is None else value for value in column)
    return Values(np.fromiter(filled, dtype, len(column)), valid)


def _flat(parts: list[Record], name: str) -> Iterator[Any]:
    return chain.from_iterable(part[name] for part in parts)


def _ints(values: Iterable[int]) -> Any:
    return np.fromiter(values, np.int64)


def _strings(values: list[str | None]) -> pa.StringArray:
    return pa.array(values, pa.string())


def _offsets(lists: list[list[Any]]) -> Any:
    lengths = np.fromiter(map(len, lists), np.int64, len(lists))
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
