"""A window counted by hand, and what its manifest says."""

import json
from pathlib import Path

import pytest

from schemas.errors import StoreError
from schemas.hashing import hash_one
from schemas.labels import ORIGIN_CODES, TIER_CODES
from schemas.record import RECORD_VERSION
from schemas.spec import spec_digest
from schemas.windows import Manifest, WindowStore, describe
from tests.windows.records import (
    HOUR_MS,
    SPEC,
    START_MS,
    Record,
    candidates,
    labels,
    revision,
    seal_window,
    window_rows,
)


def _by_hand(root: Path) -> Manifest:
    """Two users, three requests, five samples, one revision.

    anna: a search with an exposed item that was clicked, one that was not, and an unexposed one;
    a feed request with one exposed item, clicked in it, which the task `buy` does not name.
    bob: a search made of a feed click, with the positive only.
    """
    anna, bob = (row for row in window_rows(2))
    anna.update(user_id="anna", user=hash_one("anna"))
    bob.update(user_id="bob", user=hash_one("bob"))
    origin = [ORIGIN_CODES["exposed"], ORIGIN_CODES["exposed"], ORIGIN_CODES["unexposed"]]
    clicked = {**labels(3), "value": [1.0, 0.0, 0.0], "tier": [TIER_CODES["direct"], None, None]}
    search = candidates(3, origin=origin, labels={"click": clicked, "buy": labels(3)})
    feed_labels = {"click": labels(1, 1.0, TIER_CODES["in_domain"]), "buy": labels(1, None)}
    made_labels = {"click": labels(1, 1.0, TIER_CODES["searchified"]), "buy": labels(1)}
    made = candidates(1, origin=[ORIGIN_CODES["searchified_positive"]], labels=made_labels)
    anna["requests"] = [
        _request(anna, 0, "search", "search", search),
        _request(anna, 1, "feed", "feed", candidates(1, labels=feed_labels)),
    ]
    bob["requests"] = [_request(bob, 0, "search", "feed", made)]
    return seal_window(root, [anna, bob], [revision("anna", START_MS - HOUR_MS)])


def _request(user: Record, number: int, domain: str, origin: str, held: Record) -> Record:
    first = user["requests"][0]
    times = {"id": f"r{number}", "time_ms": START_MS + number}
    return {**first, **times, "domain": domain, "origin_domain": origin, "candidates": held}


def test_counts_are_what_one_counts_by_hand(tmp_path: Path) -> None:
    counts = _by_hand(tmp_path).counts
    assert (counts.users, counts.requests, counts.samples, counts.revisions) == (2, 3, 5, 1)
    assert counts.origins == {
        "exposed": 3,
        "unexposed": 1,
        "searchified_positive": 1,
        "searchified_negative": 0,
    }
    zeros = dict.fromkeys([*TIER_CODES, "none", "missing"], 0)
    assert counts.labels == {
        "click": {**zeros, "direct": 1, "in_domain": 1, "searchified": 1, "none": 2},
        "buy": {**zeros, "none": 4, "missing": 1},
    }
    assert WindowStore(tmp_path).verify(START_MS) == []


def test_a_manifest_says_what_follows_from_events_and_spec(tmp_path: Path) -> None:
    manifest = _by_hand(tmp_path)
    path = tmp_path / "20220501T020000Z" / "_MANIFEST.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    assert values["window_start_ms"] == START_MS
    assert values["window_end_ms"] == START_MS + HOUR_MS
    assert values["cut_ms"] == START_MS + HOUR_MS + 600_000
    assert (values["spec_name"], values["spec_digest"]) == ("shop", spec_digest(SPEC))
    assert (values["record_version"], values["shards"]) == (RECORD_VERSION, 3)
    assert values["digest"] == manifest.digest == WindowStore(tmp_path).manifest(START_MS).digest
    assert set(values) == {
        *("window_start_ms", "window_end_ms", "cut_ms", "spec_name", "spec_digest"),
        *("record_version", "shards", "files", "counts", "digest"),
    }
    build = json.loads((path.parent / "_BUILD.json").read_text(encoding="utf-8"))
    assert set(build) == {"software", "watermark_ms", "started_at_ms", "sealed_at_ms"}


def test_only_shards_that_hold_something_have_files(tmp_path: Path) -> None:
    manifest = seal_window(tmp_path, window_rows(1), shards=4)
    (file,) = manifest.files
    assert file.index is not None
    names = {path.name for path in (tmp_path / "20220501T020000Z").iterdir()}
    assert names == {file.name, file.index.name, "_MANIFEST.json", "_BUILD.json"}


def test_a_window_of_revisions_alone_is_one(tmp_path: Path) -> None:
    manifest = seal_window(tmp_path, [], [revision("anna", START_MS - HOUR_MS)])
    assert (manifest.counts.users, manifest.counts.revisions) == (0, 1)
    store = WindowStore(tmp_path)
    assert list(store.read_users(START_MS, SPEC)) == []
    assert store.read_user(START_MS, 1) is None
    assert store.verify(START_MS) == []
    assert describe.show(store, START_MS)["users"] == []


def test_the_list_of_windows_has_a_row_a_window(tmp_path: Path) -> None:
    _by_hand(tmp_path)
    (row,) = describe.list_rows(WindowStore(tmp_path))
    assert (row["window"], row["users"], row["samples"]) == ("20220501T020000Z", 2, 5)
    lines = describe.rows_text([row]).splitlines()
    assert lines[0].split()[:3] == ["window", "users", "requests"]
    assert lines[1].split()[:3] == ["20220501T020000Z", "2", "3"]
    assert describe.rows_text([]) == "no sealed window"


def test_a_shown_user_has_names_in_the_place_of_codes(tmp_path: Path) -> None:
    _by_hand(tmp_path)
    shown = describe.show(WindowStore(tmp_path), START_MS, "anna")
    held = shown["requests"][0]["candidates"]
    assert held["origin"] == ["exposed", "exposed", "unexposed"]
    assert held["labels"]["click"]["tier"] == ["direct", None, None]
    assert json.loads(describe.shown_text(shown)) == shown


def test_a_shown_window_lists_so_many_users(tmp_path: Path) -> None:
    seal_window(tmp_path, window_rows(8))
    shown = describe.show(WindowStore(tmp_path), START_MS, limit=3)
    assert len(shown["users"]) == 3
    assert set(shown["users"][0]) == {"user_id", "history", "recent", "requests", "samples"}


def test_a_user_who_is_not_there_is_told_in_a_sentence(tmp_path: Path) -> None:
    seal_window(tmp_path, window_rows(2))
    with pytest.raises(StoreError, match="expected a record of user 'zoé', received none"):
        describe.show(WindowStore(tmp_path), START_MS, "zoé")
