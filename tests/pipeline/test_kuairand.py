"""KuaiRand through replay and pipeline: counts against a query on the raw files, and the oracle."""

import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest

from pipelines.drivers.direct import DirectSettings, run
from pipelines.replay import kuairand
from schemas.labels import TIERS
from schemas.spec import Spec, load
from schemas.windows import WindowStore
from tests.oracle import Event, Read, SealAll
from tests.oracle import run as run_oracle

ROOT = Path(__file__).resolve().parents[2]
ACTIONS = {
    "click": "is_click",
    "long_view": "long_view",
    "like": "is_like",
    "follow": "is_follow",
    "comment": "is_comment",
    "forward": "is_forward",
    "profile_enter": "is_profile_enter",
}
DAY_MS = 86_400_000


@pytest.fixture(scope="module")
def spec() -> Spec:
    return load(ROOT / "schemas" / "specs" / "kuairand.toml")


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory, spec: Spec) -> Path:
    """The replayed events but for the sequences of before: they credit nothing."""
    folder = tmp_path_factory.mktemp("kuairand") / "events"
    kuairand.replay(ROOT / "examples" / "kuairand", folder, spec)
    for past in folder.glob("past_*"):
        shutil.rmtree(past)
    return folder


@pytest.fixture(scope="module")
def samples(events: Path, spec: Spec) -> pl.DataFrame:
    """One row a sample, out of the sealed windows."""
    windows = events.parent / "windows"
    run(DirectSettings(spec, events, windows, events.parent / "state", shards=2, final=True))
    store = WindowStore(windows)
    parts = [
        _flat(pl.DataFrame(pl.from_arrow(batch)), spec)
        for manifest in store.windows()
        for batch in store.read_users(manifest.window_start_ms, spec)
    ]
    return pl.concat(parts)


def _flat(users: pl.DataFrame, spec: Spec) -> pl.DataFrame:
    requests = users.select("user_id", "requests").explode("requests").unnest("requests")
    labels = [
        pl.col("candidates").struct.field("labels").struct.field(task).struct.field("value")
        .list.first().alias(task)
        for task in spec.tasks
    ]  # fmt: skip
    tiers = pl.col("candidates").struct.field("labels").struct.field("click").struct.field("tier")
    return requests.select(
        "user_id", "time_ms", "scenario", tiers.list.first().alias("click_tier"), *labels
    )


@pytest.fixture(scope="module")
def raw() -> pl.DataFrame:
    """The distinct exposures of the raw files, an action done if any copy says so."""
    rows = pl.concat(
        pl.read_parquet(path) for path in sorted((ROOT / "examples/kuairand").glob("exposures_*"))
    )
    assert len(rows) == 228_329
    keys = ["user_id", "video_id", "time_ms", "tab"]
    return rows.group_by(keys).agg(pl.col(column).max() for column in ACTIONS.values())


def test_samples_and_labels_equal_a_query_on_the_raw_files(
    samples: pl.DataFrame, raw: pl.DataFrame
) -> None:
    assert len(samples) == len(raw) == 222_444
    for task, column in ACTIONS.items():
        assert samples[task].sum() == raw[column].sum(), task


def test_samples_and_users_per_scenario_and_day_equal_the_query(
    samples: pl.DataFrame, raw: pl.DataFrame
) -> None:
    mine = samples.group_by(scenario="scenario").agg(n=pl.len(), users=pl.col("user_id").n_unique())
    theirs = raw.group_by(scenario="tab" + pl.col("tab").cast(pl.String)).agg(
        n=pl.len(), users=pl.col("user_id").n_unique()
    )
    assert mine.sort("scenario").equals(theirs.sort("scenario"))
    days = [
        frame.group_by(day=pl.col("time_ms") // DAY_MS).len().sort("day")
        for frame in (samples, raw)
    ]
    assert days[0].equals(days[1])


def test_every_click_is_credited_directly(samples: pl.DataFrame) -> None:
    tiers = samples.filter(pl.col("click") > 0)["click_tier"].unique().to_list()
    assert [TIERS[tier] for tier in tiers] == ["direct"]


def test_a_day_of_some_users_equals_the_oracle(events: Path, spec: Spec, tmp_path: Path) -> None:
    read: list[Event] = []
    for folder in sorted(path for path in events.iterdir() if path.is_dir()):
        read += _some_of(folder, tmp_path / "events" / folder.name)
    windows = tmp_path / "windows"
    run(DirectSettings(spec, tmp_path / "events", windows, tmp_path / "state", 2, final=True))
    store = WindowStore(windows)
    expected = run_oracle(spec, [Read(read, 2**42), SealAll()])
    assert len(read) > 400
    for start, window in expected.windows.items():
        rows = [row for batch in store.read_users(start, spec) for row in batch.to_pylist()]
        assert sorted(rows, key=lambda row: row["user_id"]) == window.users
    assert [one.window_start_ms for one in store.windows()] == sorted(expected.windows)


def _some_of(folder: Path, out: Path) -> list[Event]:
    """The events of 27 April 2022 (UTC) of one user in fifty, written and as the oracle's."""
    out.mkdir(parents=True)
    rows: list[dict[str, Any]] = []
    for path in sorted(folder.glob("2022-04-27*.parquet")):
        table = pq.read_table(path)
        if "user_id" not in table.column_names:
            continue
        frame = pl.DataFrame(pl.from_arrow(table))
        chosen = (frame["user_id"].cast(pl.Int64) % 50 == 7).to_arrow()
        pq.write_table(table.filter(chosen), out / path.name)
        rows += table.filter(chosen).to_pylist()
    return [Event(folder.name, fields, "", row) for row, fields in enumerate(rows)]
