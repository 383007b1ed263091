"""`pack` gives what one gets by flattening the records by hand, for slices too."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import StoreError
from schemas.windows import Lists, PackedSequence, Values, pack
from tests.windows.records import SPEC, user_tables, users_table, window_rows

Rows = list[dict[str, Any]]


@settings(max_examples=60, deadline=None)
@given(table=user_tables(), first=st.integers(0, 3), count=st.integers(0, 3))
def test_packed_users_are_the_records_flattened(table: pa.Table, first: int, count: int) -> None:
    whole = pa.RecordBatch.from_pylist(table.to_pylist(), schema=table.schema)
    batch = whole.slice(first, count)
    rows = batch.to_pylist()
    packed = pack(batch)
    assert packed.user.tolist() == [row["user"] for row in rows]
    assert packed.user_id.to_pylist() == [row["user_id"] for row in rows]
    assert packed.window_start_ms.tolist() == [row["window_start_ms"] for row in rows]
    _expect_sequence(packed.history, [row["history"] for row in rows])
    _expect_sequence(packed.recent, [row["recent"] for row in rows])
    _expect_offsets(packed.requests.offsets, [row["requests"] for row in rows])
    _expect_requests(packed, [request for row in rows for request in row["requests"]])


def _expect_requests(packed: Any, requests: Rows) -> None:
    for name in ("id", "scenario", "domain", "origin_domain", "query"):
        assert getattr(packed.requests, name).to_pylist() == [one[name] for one in requests]
    assert packed.requests.source_request.to_pylist() == [None] * len(requests)
    for name in ("query_path", "query_score"):
        _expect_feature(getattr(packed.requests, name), [None] * len(requests))
    assert packed.requests.time_ms.tolist() == [one["time_ms"] for one in requests]
    assert list(packed.requests.features) == ["age", "hour", "interests", "segment", "words"]
    for name, feature in packed.requests.features.items():
        _expect_feature(feature, [one[name] for one in requests])
    _expect_samples(packed.samples, [one["candidates"] for one in requests])


def _expect_samples(samples: Any, candidates: Rows) -> None:
    _expect_offsets(samples.offsets, [one["item"] for one in candidates])
    for name in ("item", "origin", "position", "probability"):
        assert getattr(samples, name).tolist() == _flat(one[name] for one in candidates)
    assert samples.item_id.to_pylist() == _flat(one["item_id"] for one in candidates)
    assert list(samples.features) == ["brand", "match", "price", "tags"]
    for name, feature in samples.features.items():
        _expect_feature(feature, _flat(one[name] for one in candidates))
    assert list(samples.labels) == list(SPEC.tasks)
    for task, labels in samples.labels.items():
        held = [one["labels"][task] for one in candidates]
        for name in ("value", "tier", "time_ms"):
            _expect_feature(getattr(labels, name), _flat(one[name] for one in held))
        assert labels.event_id.to_pylist() == _flat(one["event_id"] for one in held)
        assert labels.open.tolist() == _flat(one["open"] for one in held)


def _expect_sequence(packed: PackedSequence, sequences: Rows) -> None:
    _expect_offsets(packed.offsets, [one["item"] for one in sequences])
    for name in ("time_ms", "item", "action"):
        assert getattr(packed, name).tolist() == _flat(one[name] for one in sequences)
    _expect_feature(packed.scenario, _flat(one["scenario"] for one in sequences))
    assert list(packed.features) == ["brand", "tags", "price"]
    for name, feature in packed.features.items():
        _expect_feature(feature, _flat(one[name] for one in sequences))


def _expect_feature(feature: Values | Lists, expected: list[Any]) -> None:
    if isinstance(feature, Lists):
        _expect_offsets(feature.offsets, expected)
        assert feature.values.tolist() == _flat(expected)
        return
    assert feature.valid.tolist() == [value is not None for value in expected]
    assert feature.values.tolist() == [0 if value is None else value for value in expected]


def _expect_offsets(offsets: Any, lists: list[list[Any]]) -> None:
    assert offsets.dtype == np.int64
    assert offsets.tolist() == [0, *np.cumsum([len(one) for one in lists]).tolist()]


def _flat(lists: Iterable[list[Any]]) -> list[Any]:
    return [value for one in lists for value in one]


def test_numbers_without_nulls_are_views_of_the_batch() -> None:
    batch = users_table(window_rows(20)).to_batches()[0]
    held = batch.column("history").field("item").values.buffers()[1]
    packed = pack(batch).history.item
    assert packed.__array_interface__["data"][0] == held.address


def test_lists_that_should_be_equally_long_and_are_not_raise() -> None:
    rows = [row for row in window_rows(20) if row["history"]["item"]]
    rows[0]["history"]["brand"] = rows[0]["history"]["brand"][1:]
    with pytest.raises(StoreError, match=r"history\.brand: expected lists as long"):
        pack(users_table(rows).to_batches()[0])
