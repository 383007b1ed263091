"""No damage goes unnoticed: `verify` names it, and reading raises or gives what was written."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from schemas.errors import StoreError
from schemas.hashing import hash_one
from schemas.windows import WindowStore, window_name
from schemas.windows.manifest import parse_manifest
from tests.windows.records import (
    HOUR_MS,
    SPEC,
    START_MS,
    Record,
    candidates,
    revision,
    seal_window,
    window_rows,
)

FOLDER = window_name(START_MS)
SHARD = "shard-00000.avro"


def _sealed(root: Path, users: int = 9) -> WindowStore:
    earlier = START_MS - HOUR_MS
    seal_window(root, window_rows(users), [revision("käufer-00001", earlier)])
    return WindowStore(root)


def _read(root: Path) -> list[Record]:
    batches = list(WindowStore(root).read_users(START_MS, SPEC))
    WindowStore(root).read_revisions(START_MS)
    return [row for batch in batches for row in batch.to_pylist()]


def test_a_sound_window_has_no_problem(tmp_path: Path) -> None:
    assert _sealed(tmp_path).verify(START_MS) == []


def test_a_flipped_byte_anywhere_is_found_by_reading(tmp_path: Path) -> None:
    seal_window(tmp_path, window_rows(3), shards=1)
    path = tmp_path / FOLDER / SHARD
    data = path.read_bytes()
    for at in range(0, len(data), 5):
        path.write_bytes(data[:at] + bytes([data[at] ^ 0x11]) + data[at + 1 :])
        with pytest.raises(StoreError, match=SHARD):
            _read(tmp_path)
    assert "expected SHA-256" in WindowStore(tmp_path).verify(START_MS)[0]


@pytest.mark.parametrize("name", [SHARD, "shard-00000.index"])
@pytest.mark.parametrize("left", [0, 10, -1])
def test_a_truncated_file_is_found(tmp_path: Path, name: str, left: int) -> None:
    store = _sealed(tmp_path)
    path = tmp_path / FOLDER / name
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(StoreError, match=rf"{name}: expected a file of \d+ bytes, received"):
        _read(tmp_path)
    assert [name in problem for problem in store.verify(START_MS)] == [True]


def test_a_flipped_byte_of_an_index_is_found(tmp_path: Path) -> None:
    store = _sealed(tmp_path)
    path = tmp_path / FOLDER / "shard-00000.index"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(StoreError, match="SHA-256"):
        _read(tmp_path)
    assert "shard-00000.index: expected SHA-256" in store.verify(START_MS)[0]


@pytest.mark.parametrize("name", [SHARD, "shard-00002.index", "revisions-0000"])
def test_a_missing_file_is_found(tmp_path: Path, name: str) -> None:
    store = _sealed(tmp_path)
    next(path for path in (tmp_path / FOLDER).iterdir() if path.name.startswith(name)).unlink()
    with pytest.raises(StoreError, match="expected a file of"):
        _read(tmp_path)
    assert [f"{name}" in problem for problem in store.verify(START_MS)] == [True]
    assert "missing" in store.verify(START_MS)[0]


def test_a_file_that_nobody_named_is_found_and_a_wreck_of_a_crash_is_not(tmp_path: Path) -> None:
    store = _sealed(tmp_path)
    (tmp_path / FOLDER / ".shard-00000.avro.0123").write_text("half")
    assert store.verify(START_MS) == []
    (tmp_path / FOLDER / "shard-00007.avro").write_text("whence?")
    assert ["shard-00007.avro: no manifest names" in p for p in store.verify(START_MS)] == [True]


def _set_users(values: Record) -> None:
    values["counts"]["users"] += 1


def _set_digest(values: Record) -> None:
    values["digest"] = "0" * 64


@pytest.mark.parametrize("change", [_set_users, _set_digest])
def test_a_manifest_whose_digest_lies_is_refused(
    tmp_path: Path, change: Callable[[Record], None]
) -> None:
    store = _sealed(tmp_path)
    _rewrite(tmp_path, change)
    with pytest.raises(StoreError, match="expected the digest of its content"):
        WindowStore(tmp_path).windows()
    assert "expected the digest of its content" in store.verify(START_MS)[0]


def test_a_manifest_that_proves_itself_but_counts_wrongly_is_found(tmp_path: Path) -> None:
    store = _sealed(tmp_path)
    _rewrite(tmp_path, _set_users, prove=True)
    assert "the manifest counts" in store.verify(START_MS)[0]


def _rewrite(root: Path, change: Callable[[Record], None], prove: bool = False) -> None:
    path = root / FOLDER / "_MANIFEST.json"
    values = json.loads(path.read_text())
    change(values)
    text = json.dumps(values)
    if prove:
        with pytest.raises(StoreError) as told:
            parse_manifest(text, "")
        values["digest"] = str(told.value).split("content, ")[1][:64]
        text = json.dumps(values)
    path.write_text(text)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"digest": 1, "files": 3}', "\x00"])
def test_a_manifest_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    _sealed(tmp_path)
    (tmp_path / FOLDER / "_MANIFEST.json").write_text(text)
    with pytest.raises(StoreError, match="expected a window's manifest"):
        WindowStore(tmp_path).windows()


def test_a_window_under_another_name_is_refused(tmp_path: Path) -> None:
    _sealed(tmp_path)
    (tmp_path / FOLDER).rename(tmp_path / window_name(START_MS + HOUR_MS))
    with pytest.raises(StoreError, match=f"received that of {FOLDER}"):
        WindowStore(tmp_path).windows()


def test_records_of_a_newer_version_are_refused(tmp_path: Path) -> None:
    _sealed(tmp_path)
    _rewrite(tmp_path, lambda values: values.update(record_version=99), prove=True)
    with pytest.raises(StoreError, match="received version 99"):
        WindowStore(tmp_path).windows()


def _requests_swapped(row: Record) -> None:
    row["requests"] = [
        {**row["requests"][0], "time_ms": START_MS + 5},
        {**row["requests"][0], "time_ms": START_MS + 4},
    ]


def _pseudo_first(row: Record) -> None:
    native = {**row["requests"][0], "time_ms": START_MS}
    row["requests"] = [{**native, "origin_domain": "feed"}, native]


def _ids_swapped(row: Record) -> None:
    first = row["requests"][0]
    row["requests"] = [{**first, "id": "b"}, {**first, "id": "a"}]


def _positions_swapped(row: Record) -> None:
    row["requests"][0]["candidates"] = candidates(2, position=[4, 3])


def _no_request(row: Record) -> None:
    row["requests"] = []


def _request_after_end(row: Record) -> None:
    row["requests"][-1]["time_ms"] = START_MS + HOUR_MS


def _other_window(row: Record) -> None:
    row["window_start_ms"] = START_MS - HOUR_MS


def _other_hash(row: Record) -> None:
    row["user"] = hash_one("someone else")


def _history_after_start(row: Record) -> None:
    row["history"] = _actions(START_MS)


def _history_swapped(row: Record) -> None:
    row["history"] = _actions(START_MS - 2, START_MS - 3)


def _recent_before_start(row: Record) -> None:
    row["recent"] = _actions(START_MS - 1)


def _actions(*times_ms: int) -> Record:
    n = len(times_ms)
    columns: dict[str, list[Any]] = {name: [1] * n for name in ("item", "action")}
    columns |= {name: [None] * n for name in ("scenario", "brand", "price")}
    return {**columns, "time_ms": list(times_ms), "tags": [[]] * n}


@pytest.mark.parametrize(
    ("breaks", "rule"),
    [
        (_requests_swapped, "requests by time"),
        (_pseudo_first, "native ones by id, then pseudo"),
        (_ids_swapped, "native ones by id"),
        (_positions_swapped, "candidates by position"),
        (_no_request, "a request of every user"),
        (_request_after_end, "requests within the window"),
        (_other_window, "the window's start in every record"),
        (_other_hash, "each user's hash to be that of the id"),
        (_history_after_start, "history before the window"),
        (_history_swapped, "history by time"),
        (_recent_before_start, "recent actions within the window"),
    ],
)
def test_records_that_break_the_order_are_found(
    tmp_path: Path, breaks: Callable[[Record], None], rule: str
) -> None:
    rows = window_rows(4)
    breaks(rows[2])
    seal_window(tmp_path, rows)
    problems = WindowStore(tmp_path).verify(START_MS)
    assert any(rule in problem for problem in problems), problems


def test_a_user_in_the_wrong_shard_is_found(tmp_path: Path) -> None:
    seal_window(tmp_path, window_rows(4), shards=1)
    _rewrite(tmp_path, lambda values: values.update(shards=2), prove=True)
    problems = WindowStore(tmp_path).verify(START_MS)
    assert any("expected users of shard 0 of 2" in problem for problem in problems)


def test_revisions_out_of_order_or_of_no_earlier_window_are_found(tmp_path: Path) -> None:
    earlier = START_MS - HOUR_MS
    rows = [revision("ä", earlier, "i1"), revision("ä", earlier, "i0"), revision("ä", START_MS)]
    seal_window(tmp_path, window_rows(4), [*rows, revision("ä", earlier - HOUR_MS)], shards=1)
    problems = "\n".join(WindowStore(tmp_path).verify(START_MS))
    assert "revisions of one request by item and task, received 1" in problems
    assert "revisions of earlier windows, received 1" in problems
    assert "revisions by window, user and request time, received 1" in problems
