"""What is written first stands; only a manifest makes a window; nothing half-written shows."""

import json
import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from schemas.durable import sha256_of
from schemas.errors import StoreError
from schemas.windows import BuildInfo, WindowStore, seal, window_name, write_shard
from schemas.windows.manifest import FileEntry
from tests.windows.records import (
    BUILD,
    HOUR_MS,
    SPEC,
    START_MS,
    seal_window,
    users_table,
    window_rows,
    write_files,
)


def test_writing_the_same_again_changes_nothing(tmp_path: Path) -> None:
    table = users_table(window_rows(9))
    first = write_shard(tmp_path, 0, table, SPEC)
    before = _inodes(tmp_path)
    assert write_shard(tmp_path, 0, table, SPEC) == first
    assert _inodes(tmp_path) == before
    assert not first.divergent


def test_other_bytes_leave_the_first_and_say_so(tmp_path: Path) -> None:
    first = write_shard(tmp_path, 0, users_table(window_rows(9)), SPEC)
    before = _inodes(tmp_path)
    second = write_shard(tmp_path, 0, users_table(window_rows(8, seed=1)), SPEC)
    assert second.divergent
    assert second == first
    assert _inodes(tmp_path) == before


def test_of_writers_at_the_same_time_one_stands_and_all_tell_the_same(tmp_path: Path) -> None:
    tables = [users_table(window_rows(9, seed)) for seed in range(6)]
    with ThreadPoolExecutor(len(tables)) as pool:
        entries = list(pool.map(lambda table: write_shard(tmp_path, 0, table, SPEC), tables))
    assert [entry.divergent for entry in entries].count(False) == 1
    assert all(entry == entries[0] for entry in entries)
    assert entries[0].index is not None
    assert sha256_of(tmp_path / entries[0].index.name) == entries[0].index.sha256


def _inodes(folder: Path) -> dict[str, tuple[int, int]]:
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.iterdir()}


def test_a_crash_between_a_file_and_its_index_is_mended_by_the_next_run(tmp_path: Path) -> None:
    entries = write_files(tmp_path, window_rows(9), [], shards=1)
    index = tmp_path / window_name(START_MS) / "shard-00000.index"
    data = index.read_bytes()
    for wreck in (None, b"torn"):
        index.unlink()
        if wreck is not None:
            index.write_bytes(wreck)
        assert write_files(tmp_path, window_rows(9), [], shards=1) == entries
        assert index.read_bytes() == data


def test_what_stands_without_an_index_gets_its_own_even_from_other_records(tmp_path: Path) -> None:
    first = write_shard(tmp_path, 0, users_table(window_rows(300)), SPEC)
    (tmp_path / "shard-00000.index").unlink()
    second = write_shard(tmp_path, 0, users_table(window_rows(8, seed=1)), SPEC)
    assert (second, second.divergent) == (first, True)


def test_a_failed_write_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match=r"shard-00000\.avro: .* No space left on device"):
        write_shard(tmp_path, 0, users_table(window_rows(3)), SPEC)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "occupied").write_text("a file")
    with pytest.raises(StoreError, match="expected to write this file"):
        write_shard(tmp_path / "occupied", 0, users_table(window_rows(3)), SPEC)


@contextmanager
def folder_of_somebody_without_rights() -> Iterator[Path]:
    """A read-only folder, entered as a user who is not root."""
    nobody, me = 65534, os.geteuid()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o500)
        if me == 0:
            os.chown(folder, nobody, nobody)
            os.seteuid(nobody)
        try:
            yield folder
        finally:
            os.seteuid(me)
            folder.chmod(0o700)


def test_a_read_only_folder_is_told_in_a_sentence() -> None:
    with (
        folder_of_somebody_without_rights() as folder,
        pytest.raises(StoreError, match="Permission denied"),
    ):
        write_shard(folder, 0, users_table(window_rows(3)), SPEC)


def test_a_folder_without_a_manifest_does_not_exist(tmp_path: Path) -> None:
    write_files(tmp_path, window_rows(9), [])
    (tmp_path / "dead_letters").mkdir()
    store = WindowStore(tmp_path)
    assert store.windows() == []
    with pytest.raises(StoreError, match="expected a sealed window"):
        next(store.read_users(START_MS, SPEC))
    assert "without _MANIFEST.json" in store.verify(START_MS)[0]


def test_a_window_appears_when_it_is_sealed_and_windows_come_by_start(tmp_path: Path) -> None:
    store = WindowStore(tmp_path)
    starts = (START_MS + HOUR_MS, START_MS, START_MS + 250)
    for start_ms in starts:
        seal_window(tmp_path, window_rows(3, start_ms=start_ms), start_ms=start_ms)
    assert [manifest.window_start_ms for manifest in store.windows()] == sorted(starts)
    assert (tmp_path / "20220501T020000.250Z" / "_MANIFEST.json").is_file()


def test_sealing_again_with_equal_content_changes_nothing(tmp_path: Path) -> None:
    entries = write_files(tmp_path, window_rows(9), [])
    cut_ms = SPEC.window.cut(START_MS)
    first = seal(tmp_path, START_MS, cut_ms, SPEC, entries, BUILD, shards=3)
    before = _inodes(tmp_path / window_name(START_MS))
    later = BuildInfo("newer", None, 7, 8)
    twice = [*reversed(entries), *entries]
    assert seal(tmp_path, START_MS, cut_ms, SPEC, twice, later, shards=3) == first
    assert not first.divergent
    assert _inodes(tmp_path / window_name(START_MS)) == before


def test_sealing_with_other_content_keeps_the_first_and_says_so(tmp_path: Path) -> None:
    first = seal_window(tmp_path, window_rows(9))
    entries = write_files(tmp_path, window_rows(9), [])
    again = seal(tmp_path, START_MS, 1, SPEC, entries, BUILD, shards=3)
    assert again.divergent
    assert again == first


def test_a_window_without_a_record_is_not_sealed(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="at least one request or revision"):
        seal_window(tmp_path, [])


def test_a_file_that_is_not_there_as_its_entry_says_is_not_sealed(tmp_path: Path) -> None:
    entries = write_files(tmp_path, window_rows(9), [])
    (tmp_path / window_name(START_MS) / "shard-00001.index").unlink()
    with pytest.raises(StoreError, match=r"shard-00001\.index: expected a file of"):
        seal(tmp_path, START_MS, 1, SPEC, entries, BUILD, shards=3)


def test_entries_survive_json(tmp_path: Path) -> None:
    for entry in write_files(tmp_path, window_rows(9), []):
        assert FileEntry.from_json(json.loads(json.dumps(entry.to_json()))) == entry


def test_a_store_that_is_not_there_is_told_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="expected a folder of windows"):
        WindowStore(tmp_path / "windos").windows()
