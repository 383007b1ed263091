"""Sealed windows become batches: whole users, cut the same way wherever one starts."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from learner.batches import action_index, scenario_index, user_batch
from learner.cursor import Cursor
from learner.feed import Feed, recut
from learner.prefetch import Ahead
from models.batch import IdLists, Ids, Numbers, UserBatch
from models.layout import Layout
from schemas.errors import StoreError, UserError
from schemas.hashing import hash_one
from schemas.windows.packed import pack
from schemas.windows.store import WindowStore
from tests.learner.world import SPEC, START_MS, records, write_window

LAYOUT = Layout.of(SPEC)


def feed_of(root: Path, batch_users: int = 7) -> Feed:
    return Feed(WindowStore(root), SPEC, LAYOUT, batch_users)


def all_batches(feed: Feed, manifest: object, skip: int = 0) -> list[tuple[Cursor, UserBatch]]:
    with feed.batches(manifest, skip) as batches:  # type: ignore[arg-type]
        return list(batches)


def some_batch() -> tuple[pa.RecordBatch, UserBatch]:
    users = records(np.random.default_rng(1), START_MS, np.arange(5))
    return users, user_batch(pack(users), LAYOUT)


def test_a_batch_holds_what_the_records_hold() -> None:
    users, batch = some_batch()
    rows = users.to_pylist()
    requests = [request for row in rows for request in row["requests"]]
    samples = [request["candidates"] for request in requests]
    assert batch.user.tolist() == [row["user"] for row in rows]
    names = [LAYOUT.scenarios[index] for index in batch.scenario.tolist()]
    assert names == [request["scenario"] for request in requests]
    assert batch.item.tolist() == [item for one in samples for item in one["item"]]
    assert batch.sample_offsets.diff().tolist() == [len(one["item"]) for one in samples]
    assert batch.request_offsets.diff().tolist() == [len(row["requests"]) for row in rows]
    actions = [hash_one(LAYOUT.actions[index]) for index in batch.history.action.tolist()]
    assert actions == [action for row in rows for action in row["history"]["action"]]


def test_a_missing_value_is_not_zero() -> None:
    users, batch = some_batch()
    candidates = [r["candidates"] for row in users.to_pylist() for r in row["requests"]]
    price, brand, tags = (batch.sample_features[name] for name in ("price", "brand", "tags"))
    assert isinstance(price, Numbers)
    assert isinstance(brand, Ids)
    assert isinstance(tags, IdLists)
    prices = [p for one in candidates for p in one["price"]]
    assert price.present.tolist() == [p is not None for p in prices]
    assert price.values.tolist() == [p or 0.0 for p in prices]
    assert tags.offsets.diff().tolist() == [len(t) for one in candidates for t in one["tags"]]


def test_a_null_label_is_absent_and_a_value_above_zero_is_one() -> None:
    users, batch = some_batch()
    candidates = [r["candidates"] for row in users.to_pylist() for r in row["requests"]]
    buys = [value for one in candidates for value in one["labels"]["buy"]["value"]]
    task = LAYOUT.tasks.index("buy")
    assert batch.label_present[:, task].tolist() == [value is not None for value in buys]
    assert batch.labels[:, task].tolist() == [float((value or 0) > 0) for value in buys]


def test_an_unknown_scenario_is_named_with_a_near_match() -> None:
    with pytest.raises(UserError, match=r"received 'hom' \(did you mean 'home'\?\)"):
        scenario_index(pa.array(["home", "hom"]), LAYOUT.scenarios)


def test_an_unknown_action_is_refused() -> None:
    with pytest.raises(UserError, match=r"sequences\.streams"):
        action_index(np.array([hash_one("click"), 12345]), LAYOUT)


def test_batches_are_cut_by_users_whatever_the_shards(tmp_path: Path) -> None:
    manifest = write_window(tmp_path, 0, users=30, shards=4)
    sizes = [batch.n_users for _, batch in all_batches(feed_of(tmp_path), manifest)]
    assert sizes == [7, 7, 7, 7, 2]


def test_a_cursor_resumes_at_exactly_the_next_batch(tmp_path: Path) -> None:
    manifest = write_window(tmp_path, 0)
    whole = all_batches(feed_of(tmp_path), manifest)
    for index, (cursor, _) in enumerate(whole):
        rest = all_batches(feed_of(tmp_path), manifest, cursor.records)
        assert [c for c, _ in rest] == [c for c, _ in whole[index + 1 :]]
        for (_, left), (_, right) in zip(rest, whole[index + 1 :], strict=True):
            assert torch.equal(left.user, right.user)
            assert torch.equal(left.labels, right.labels)


def test_windows_after_a_cursor_are_those_it_has_not_completed(tmp_path: Path) -> None:
    manifests = [write_window(tmp_path, index, users=3) for index in (0, 1, 3)]
    second = manifests[1].window_start_ms
    assert Feed.after(Cursor(), manifests) == manifests
    assert Feed.after(Cursor(second, 2, complete=False), manifests) == manifests[1:]
    assert Feed.after(Cursor(second, 3, complete=True), manifests) == manifests[2:]


def test_a_file_that_is_not_what_the_manifest_says_is_refused(tmp_path: Path) -> None:
    manifest = write_window(tmp_path, 0)
    feed = feed_of(tmp_path)
    feed.verify(manifest)
    path = feed.store.folder(manifest.window_start_ms) / manifest.files[0].name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(StoreError, match="expected SHA-256"):
        feed.verify(manifest)


def test_recutting_keeps_every_row_in_order() -> None:
    parts = [
        pa.RecordBatch.from_pydict({"x": list(range(a, b))}) for a, b in [(0, 3), (3, 3), (3, 11)]
    ]
    batches = list(recut(iter(parts), 4))
    assert [batch.column("x").to_pylist() for batch in batches] == [
        [0, 1, 2, 3],
        [4, 5, 6, 7],
        [8, 9, 10],
    ]


def test_an_error_while_reading_ahead_comes_where_its_item_would_have() -> None:
    def source() -> object:
        yield 1
        raise StoreError("damaged")

    with Ahead(source()) as ahead:  # type: ignore[arg-type]
        items = iter(ahead)
        assert next(items) == 1
        with pytest.raises(StoreError, match="damaged"):
            next(items)


def test_closing_early_ends_the_thread_of_an_endless_source() -> None:
    def endless() -> object:
        while True:
            yield 0

    with Ahead(endless()) as ahead:  # type: ignore[arg-type]
        assert next(iter(ahead)) == 0
    assert not ahead._thread.is_alive()
