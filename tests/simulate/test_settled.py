"""The tiny world through the pipeline and a learner: what comes after the cut is settled."""

from collections import Counter
from pathlib import Path

import polars as pl
import pytest

from learner.daemon import run as learn
from learner.journal import Entry, Journal
from learner.settings import LearnerSettings
from pipelines.drivers.direct import DirectSettings
from pipelines.drivers.direct import run as run_pipeline
from schemas.spec import parse
from schemas.windows import WindowStore
from schemas.windows.counts import MISSING, UNCREDITED
from tests.simulate.conftest import ROOT, Written, users_of

pytestmark = pytest.mark.slow

HORIZON = 'stream = "conversion", horizon = "3d", retraction_horizon = "3d"'
SHIPPED = (ROOT / "schemas" / "specs" / "simulated.toml").read_text()
SPEC_TEXT = SHIPPED.replace(HORIZON, HORIZON.replace("3d", "1d"))
"""Conversions close after two days: the world is three days long."""

SPEC = parse(SPEC_TEXT, "simulated.toml")


@pytest.fixture(scope="module")
def folder(tiny: Written, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("settled")
    (folder / "spec.toml").write_text(SPEC_TEXT)
    run_pipeline(
        DirectSettings(
            SPEC,
            tiny.out / "events",
            folder / "windows",
            folder / "pipeline",
            shards=1,
            epoch_rows=10_000,
            final=True,
        )
    )
    learn(
        LearnerSettings(
            spec=folder / "spec.toml",
            windows=folder / "windows",
            state=folder / "learner",
            mlflow="http://127.0.0.1:9",  # nothing listens there, nor need it
            model="dlrm_mlp",
            preset="tiny",
            mlflow_patience_s=0.0,
        )
    )
    return folder


@pytest.fixture(scope="module")
def entries(folder: Path) -> list[Entry]:
    return [entry for entry, _ in Journal(folder / "learner" / "metrics.jsonl").since(0)]


def test_every_revision_finds_its_sample_those_of_pseudo_requests_too(
    folder: Path, entries: list[Entry]
) -> None:
    store = WindowStore(folder / "windows")
    tables = [store.read_revisions(one.window_start_ms) for one in store.windows()]
    named = {name for table in tables for name in table["request_id"].to_pylist()}
    requests = (
        one["requests"] for users in users_of(store, SPEC) for one in users.iter_rows(named=True)
    )
    pseudo = {one["id"] for many in requests for one in many if one["source_request"]}
    assert len(named & pseudo) > 10 and len(named - pseudo) > 10
    counted = [one.metrics for one in entries if "window/revisions" in one.metrics]
    assert [one["window/revisions"] for one in counted] == [len(table) for table in tables]
    assert sum(one["window/revisions_unmatched"] for one in counted) == 0


def test_a_task_settles_in_every_window_whose_labels_are_closed_by_the_last_cut(
    folder: Path, entries: list[Entry]
) -> None:
    """Clicks are closed 26 hours after a window's end, carts 30 hours, conversions 48."""
    windows = WindowStore(folder / "windows").windows()
    for task, hours in {"click": 26, "cart": 30, "conversion": 48}.items():
        settled = [e.window_start_ms for e in entries if f"settled/{task}/all/samples" in e.metrics]
        last_ms = windows[-1].cut_ms - hours * 3_600_000
        assert settled == [
            one.window_start_ms
            for one in windows
            if one.window_end_ms - 1 <= last_ms and one.counts.samples
        ]
        assert len(settled) > 10


def test_positives_that_settled_are_those_at_the_cut_and_what_revisions_changed(
    folder: Path, entries: list[Entry]
) -> None:
    """Predictions are the same, so that calibration times positives is, too."""
    store, gained = WindowStore(folder / "windows"), Counter[str]()
    for task in SPEC.tasks:
        instant = by_window(entries, f"{task}/all/calibration")
        for start_ms, settled in by_window(entries, f"settled/{task}/all/calibration").items():
            before, change = positives(store, start_ms, task)
            gained[task] += change
            if before:
                expected = instant[start_ms] * before / (before + change)
                assert settled == pytest.approx(expected), (task, start_ms)
    assert gained["click"] < 0  # all are in by the cut; some are taken back
    assert gained["conversion"] > 50  # most are still to come at the cut


def by_window(entries: list[Entry], name: str) -> dict[int, float]:
    return {e.window_start_ms: e.metrics[name] for e in entries if name in e.metrics}


def positives(store: WindowStore, start_ms: int, task: str) -> tuple[int, int]:
    """How many a window was sealed with, and how many all revisions add."""
    tiers = store.manifest(start_ms).counts.labels[task]
    before = sum(count for tier, count in tiers.items() if tier not in (UNCREDITED, MISSING))
    revisions = pl.concat(
        pl.DataFrame(pl.from_arrow(store.read_revisions(one.window_start_ms)))
        for one in store.windows()
    ).filter(window_start_ms=start_ms, task=task)
    return before, sum((revisions["new_value"] > 0).cast(int) - (revisions["old_value"] > 0))
