"""The tables behind the plots: by hand on the corner shop, and against loops on a real store."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from millstream.report.delays import EDGES_MS, REVISED, SEALED, histogram
from millstream.report.plot_delays import curve
from millstream.report.tables import StoreTables
from millstream.report.tabulate import tabulate
from pipelines.drivers.direct import DirectSettings, run
from schemas.errors import StoreError
from schemas.labels import ORIGINS, QUERY_PATHS, TIERS
from schemas.windows import WindowStore
from tests.pipeline.small_world import small_spec, small_world, write_json_lines
from tests.report.corner_shop import HOUR_MS, start_ms, write_store


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> StoreTables:
    return tabulate(WindowStore(write_store(tmp_path_factory.mktemp("report") / "windows")))


def test_windows_are_counted(tables: StoreTables) -> None:
    assert tables.windows.rows() == [
        (start_ms(0), 2, 3, 5, 0),
        (start_ms(1), 1, 1, 1, 2),
        (start_ms(3), 1, 2, 2, 2),
    ]


def test_samples_are_counted_by_origin(tables: StoreTables) -> None:
    assert sorted(tables.origins.rows()) == [
        (start_ms(0), "exposed", 2),
        (start_ms(0), "searchified_negative", 1),
        (start_ms(0), "searchified_positive", 1),
        (start_ms(0), "unexposed", 1),
        (start_ms(1), "searchified_positive", 1),
        (start_ms(3), "exposed", 1),
        (start_ms(3), "searchified_positive", 1),
    ]


def test_credits_stand_as_revisions_left_them(tables: StoreTables) -> None:
    """The purchase came and went; the retracted click left its window; the old one has none."""
    assert tables.credits.rows() == [
        (start_ms(0), "click", "direct", 1),
        (start_ms(0), "click", "searchified", 1),
        (start_ms(0), "click", "unexposed", 1),
        (start_ms(1), "click", "searchified", 1),
        (start_ms(3), "click", "direct", 1),
    ]


def test_delays_tell_what_the_window_showed_from_what_a_revision_brought(
    tables: StoreTables,
) -> None:
    """Upper edges of bins, 20 to a decade: 10^3, 10^3.7, 10^4.35, 10^4.8 and 10^6.6 ms."""
    assert tables.delays.rows() == [
        ("buy", REVISED, 3_981_072, 1),
        ("click", SEALED, 0, 1),
        ("click", SEALED, 1_000, 1),
        ("click", SEALED, 5_012, 2),
        ("click", SEALED, 22_387, 1),
        ("click", SEALED, 63_096, 1),
    ]


def test_queries_are_counted_by_path(tables: StoreTables) -> None:
    assert tables.paths.rows() == [
        (start_ms(0), "own", 1),
        (start_ms(1), "none", 1),
        (start_ms(3), "nearest", 1),
    ]


def test_revisions_have_a_cause_and_an_age(tables: StoreTables) -> None:
    """What was read late and retracted counts as read late."""
    assert sorted(tables.revisions.rows()) == [
        (start_ms(1), HOUR_MS, "known after the cut", 1),
        (start_ms(1), HOUR_MS, "retracted", 1),
        (start_ms(3), 3 * HOUR_MS, "read late", 1),
        (start_ms(3), 5 * HOUR_MS, "read late", 1),
    ]


def test_dead_letters_of_all_epochs_are_added_up(tables: StoreTables) -> None:
    assert tables.dead_letters.rows() == [
        ("click", "bad_time", 3),
        ("click", "late", 1),
        ("exposure", "late", 1),
    ]


def test_a_cumulative_share_is_of_all_labels_however_they_came() -> None:
    rows = pl.concat([
        histogram("click", SEALED, np.array([0, 0, 3])),
        histogram("click", REVISED, np.array([3, 10])),
    ])  # fmt: skip
    assert curve(rows).rows() == [(0, 2, 40.0, 40.0), (3, 4, 80.0, 60.0), (10, 5, 100.0, 60.0)]


def test_an_edge_closes_its_bin_and_the_last_bin_takes_what_is_beyond() -> None:
    past, last = int(EDGES_MS[50]), int(EDGES_MS[-1])
    found = histogram("t", SEALED, np.array([past, past + 1, last, 9 * last]))
    assert found.select("up_to_ms", "labels").rows() == [
        (past, 1),
        (int(EDGES_MS[51]), 1),
        (last, 2),
    ]


def test_a_store_without_windows_has_no_tables(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="expected sealed windows, received none. Run"):
        tabulate(WindowStore(tmp_path))


def test_the_tables_of_a_real_store_equal_loops_over_its_records(tmp_path: Path) -> None:
    """Feed and search with every rule of the entire space, through the pipeline."""
    write_json_lines(small_world(5), tmp_path / "events", files=3)
    (tmp_path / "events" / "click" / "bad.jsonl").write_text("{\n{}\n[]\n", encoding="utf-8")
    windows = tmp_path / "windows"
    settings = DirectSettings(
        small_spec(),
        tmp_path / "events",
        windows,
        tmp_path / "state",
        2,
        epoch_rows=500,
        final=True,
    )
    totals = run(settings).totals
    store = WindowStore(windows)
    tables = tabulate(store)
    expected = _by_loops(store)
    assert dict(_keyed(tables.credits)) == expected["credits"]
    assert dict(_keyed(tables.origins)) == expected["origins"]
    assert dict(_keyed(tables.paths)) == expected["paths"]
    revised = tables.revisions.group_by("carrier_ms", "age_ms").agg(pl.col("revisions").sum())
    assert dict(_keyed(revised)) == expected["ages"]
    known = tables.delays.group_by("task", "known").agg(pl.col("labels").sum())
    assert dict(_keyed(known)) == expected["known"]
    dead = {f"dead/{stream}/{reason}": n for stream, reason, n in tables.dead_letters.rows()}
    assert dead == {name: n for name, n in totals.items() if name.startswith("dead/")}
    assert len(dead) >= 3
    assert all(len(part) > 3 for part in expected.values())


def _keyed(frame: pl.DataFrame) -> list[tuple[tuple[Any, ...], int]]:
    return [(row[:-1], row[-1]) for row in frame.rows()]


def _by_loops(store: WindowStore) -> dict[str, Counter[tuple[Any, ...]]]:
    """Record by record and sample by sample; each sample's label as its last revision says."""
    found: dict[str, Counter[tuple[Any, ...]]] = {
        name: Counter() for name in ("credits", "origins", "paths", "ages", "known")
    }
    tiers: dict[tuple[Any, ...], int | None] = {}
    for manifest in store.windows():
        start = manifest.window_start_ms
        for revision in store.read_revisions(start).to_pylist():
            sample = revision["window_start_ms"], revision["user_id"], revision["request_id"]
            label = (*sample, revision["item_id"], revision["task"])
            if tiers[label] is None and revision["new_tier"] is not None:
                found["known"][revision["task"], REVISED] += 1
            tiers[label] = revision["new_tier"]
            found["ages"][start, start - revision["window_start_ms"]] += 1
        for batch in store.read_users(start, None):
            for user in batch.to_pylist():
                _read_user(user, found, tiers)
    for (start, _, _, _, task), tier in tiers.items():
        if tier is not None:
            found["credits"][start, task, TIERS[tier]] += 1
    return found


def _read_user(
    user: dict[str, Any],
    found: dict[str, Counter[tuple[Any, ...]]],
    tiers: dict[tuple[Any, ...], int | None],
) -> None:
    start = user["window_start_ms"]
    for request in user["requests"]:
        if request["source_request"] is not None:
            found["paths"][start, QUERY_PATHS[request["query_path"]]] += 1
        candidates = request["candidates"]
        for place, item in enumerate(candidates["item_id"]):
            found["origins"][start, ORIGINS[candidates["origin"][place]]] += 1
            for task, labels in candidates["labels"].items():
                tier = labels["tier"][place]
                tiers[start, user["user_id"], request["id"], item, task] = tier
                if tier is not None:
                    found["known"][task, SEALED] += 1
