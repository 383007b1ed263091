"""How requests made of foreign clicks came by their queries: counted, checked, shown."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from schemas.labels import ORIGIN_CODES, QUERY_PATH_CODES
from schemas.record import user_window_schema
from schemas.spec import Searchify, Target
from schemas.windows import FileEntry, Manifest, WindowStore, describe, seal, write_shard
from tests.windows.records import (
    BUILD,
    SPEC,
    START_MS,
    Record,
    candidates,
    seal_window,
    window_rows,
)

TARGET = Target("search", searchify=Searchify(negatives=0, floor=0.0, query_memory=1))
WITH_TARGET = replace(SPEC, target=TARGET)
NAME = "20220501T020000Z"


def _request(user: Record, number: int, path: str | None) -> Record:
    """A native request without a path, else one made of a feed click."""
    made = path is not None
    return {
        **user["requests"][0],
        "id": f"r{number}",
        "time_ms": START_MS + number,
        "origin_domain": "feed" if made else "search",
        "source_request": f"f{number}" if made else None,
        "query_path": QUERY_PATH_CODES[path] if path is not None else None,
        "query_score": 1.0 if path == "own" else None,
        "candidates": candidates(1, origin=[ORIGIN_CODES["searchified_positive"] if made else 0]),
    }


def _entries(root: Path, *paths: str | None) -> list[FileEntry]:
    """One user with a request for each path."""
    [user] = window_rows(1)
    user["requests"] = [_request(user, number, path) for number, path in enumerate(paths)]
    table = pa.Table.from_pylist([user], schema=user_window_schema(WITH_TARGET))
    return [write_shard(root / NAME, 0, table, WITH_TARGET)]


def _seal(root: Path, entries: list[FileEntry]) -> Manifest:
    cut_ms = SPEC.window.cut(START_MS)
    return seal(root, START_MS, cut_ms, WITH_TARGET, entries, BUILD, shards=1)


def _sealed(root: Path, *paths: str | None) -> Manifest:
    return _seal(root, _entries(root, *paths))


def _rewrite(root: Path, **counts: Any) -> Manifest:
    """Replace the manifest by one with other counts, as its writer would have written it."""
    manifest = WindowStore(root).manifest(START_MS)
    changed = replace(manifest, counts=replace(manifest.counts, **counts))
    (root / NAME / "_MANIFEST.json").write_text(changed.to_text(), encoding="utf-8")
    return changed


MADE = ("own", None, "nearest", "own", "none")


def test_paths_are_what_one_counts_by_hand(tmp_path: Path) -> None:
    counts = _sealed(tmp_path, *MADE).counts
    assert counts.query_paths == {"own": 2, "co_occurrence": 0, "nearest": 1, "none": 1}
    assert counts.requests == 5
    store = WindowStore(tmp_path)
    assert store.verify(START_MS) == []
    shown = describe.show(store, START_MS)
    assert shown["manifest"]["counts"]["query_paths"] == counts.query_paths
    assert describe.list_rows(store)[0]["searchified"] == 4


def test_a_window_without_such_requests_counts_none(tmp_path: Path) -> None:
    counts = _sealed(tmp_path, None, None).counts
    assert counts.query_paths == {"own": 0, "co_occurrence": 0, "nearest": 0, "none": 0}


def test_a_shown_record_names_the_path(tmp_path: Path) -> None:
    _sealed(tmp_path, *MADE)
    [user] = window_rows(1)
    shown = describe.show(WindowStore(tmp_path), START_MS, user["user_id"])
    assert [request["query_path"] for request in shown["requests"]] == list(MADE)


def test_verify_tells_of_a_manifest_that_counts_otherwise(tmp_path: Path) -> None:
    _sealed(tmp_path, *MADE)
    _rewrite(tmp_path, query_paths={"own": 1, "co_occurrence": 1, "nearest": 1, "none": 1})
    [problem] = WindowStore(tmp_path).verify(START_MS)
    assert "'co_occurrence': 1, 'nearest': 1, 'none': 1, 'own': 1" in problem
    assert problem.endswith("{'own': 2, 'co_occurrence': 0, 'nearest': 1, 'none': 1}).")


def test_a_manifest_from_before_paths_were_counted_stays_as_it_is(tmp_path: Path) -> None:
    entries = _entries(tmp_path, *MADE)
    sealed = _seal(tmp_path, entries)
    old = _rewrite(tmp_path, query_paths=None)
    text = (tmp_path / NAME / "_MANIFEST.json").read_text(encoding="utf-8")
    assert "query_paths" not in json.loads(text)["counts"]
    store = WindowStore(tmp_path)
    assert store.manifest(START_MS).digest == old.digest != sealed.digest
    assert store.verify(START_MS) == []
    again = _seal(tmp_path, entries)
    assert (again.digest, again.divergent) == (old.digest, False)
    assert (tmp_path / NAME / "_MANIFEST.json").read_text(encoding="utf-8") == text


def test_a_manifest_from_before_does_not_hide_other_content(tmp_path: Path) -> None:
    entries = _entries(tmp_path, *MADE)
    _seal(tmp_path, entries)
    _rewrite(tmp_path, query_paths=None)
    other = [replace(entries[0], counts=replace(entries[0].counts, samples=6))]
    assert _seal(tmp_path, other).divergent
    _rewrite(tmp_path, samples=6)
    assert len(WindowStore(tmp_path).verify(START_MS)) == 1


def test_without_such_requests_in_the_record_manifests_are_as_before(tmp_path: Path) -> None:
    manifest = seal_window(tmp_path, window_rows(2))
    assert manifest.counts.query_paths is None
    assert "query_paths" not in manifest.to_json()["counts"]
