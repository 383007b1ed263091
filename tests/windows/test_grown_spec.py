"""Old windows under a spec that has grown, shrunk or changed."""

from pathlib import Path

import pytest

from schemas.errors import StoreError
from schemas.record import user_window_schema
from schemas.spec import parse
from schemas.windows import WindowStore, pack
from tests.windows.records import (
    SPEC_TEXT,
    START_MS,
    Record,
    in_shard_order,
    seal_window,
    window_rows,
)

GROWN = parse(
    SPEC_TEXT.replace("[features]", 'like = { stream = "buy", horizon = "1h" }\n[features]')
    .replace(
        "[sequences]",
        """
city = { owner = "user", type = "id" }
friends = { owner = "user", type = "ids" }
shop = { owner = "item", type = "id" }
colors = { owner = "item", type = "ids" }
weight = { owner = "cross", type = "number" }
[sequences]""",
    )
    .replace('"price"]', '"price", "shop", "colors"]')
)


def test_new_features_and_tasks_are_null_or_empty_in_old_windows(tmp_path: Path) -> None:
    rows = window_rows(12)
    seal_window(tmp_path, rows)
    batches = list(WindowStore(tmp_path).read_users(START_MS, GROWN, batch_users=5))
    read = [row for batch in batches for row in batch.to_pylist()]
    assert read == [_grown(row) for row in in_shard_order(rows)]
    assert all(batch.schema == user_window_schema(GROWN) for batch in batches)
    assert not pack(batches[0]).samples.labels["like"].value.valid.any()


def _grown(row: Record) -> Record:
    return {
        **row,
        "history": _grown_sequence(row["history"]),
        "recent": _grown_sequence(row["recent"]),
        "requests": [_grown_request(request) for request in row["requests"]],
    }


def _grown_sequence(sequence: Record) -> Record:
    n = len(sequence["item"])
    return {**sequence, "shop": [None] * n, "colors": [[]] * n}


def _grown_request(request: Record) -> Record:
    candidates = request["candidates"]
    n = len(candidates["item"])
    nulls = {name: [None] * n for name in ("value", "tier", "event_id", "time_ms")}
    grown = {
        **candidates,
        "shop": [None] * n,
        "colors": [[]] * n,
        "weight": [None] * n,
        "labels": {**candidates["labels"], "like": {**nulls, "open": [False] * n}},
    }
    return {**request, "city": None, "friends": [], "candidates": grown}


def test_what_the_spec_dropped_is_dropped(tmp_path: Path) -> None:
    smaller = parse(SPEC_TEXT.replace('match = { owner = "cross", type = "number" }\n', ""))
    rows = window_rows(6)
    seal_window(tmp_path, rows, shards=1)
    for row in rows:
        for request in row["requests"]:
            del request["candidates"]["match"]
    (batch,) = WindowStore(tmp_path).read_users(START_MS, smaller)
    assert batch.to_pylist() == rows
    one = WindowStore(tmp_path).read_user(START_MS, rows[3]["user"], smaller)
    assert one is not None
    assert one.to_pylist() == rows[3:4]


def test_without_a_spec_records_come_as_they_were_written(tmp_path: Path) -> None:
    rows = window_rows(6)
    seal_window(tmp_path, rows, shards=1)
    (batch,) = WindowStore(tmp_path).read_users(START_MS, None)
    assert batch.to_pylist() == rows


def test_a_feature_that_changed_its_type_is_refused(tmp_path: Path) -> None:
    changed = parse(
        SPEC_TEXT.replace(
            'brand = { owner = "item", type = "id" }', 'brand = { owner = "item", type = "number" }'
        )
    )
    seal_window(tmp_path, window_rows(6))
    with pytest.raises(StoreError, match=r"brand: the spec expects double, .* have int64"):
        next(WindowStore(tmp_path).read_users(START_MS, changed))
