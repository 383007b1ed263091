"""RankLens from its file to learned windows, by the command line, against a query on the file."""

import gzip
import json
from math import comb
from pathlib import Path

import polars as pl
import pytest

from learner.journal import Journal
from millstream.cli import main
from schemas.labels import ORIGINS, TIERS
from schemas.spec import load
from schemas.windows import WindowStore, window_start

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
SPEC_FILE = ROOT / "schemas" / "specs" / "ranklens.toml"
SPEC = load(SPEC_FILE)
WINDOW_MS = 5 * 60_000


@pytest.fixture(scope="module")
def raw() -> pl.DataFrame:
    """One row a movie of a ranking, out of the raw lines: whether it was marked as liked."""
    with gzip.open(ROOT / "examples/ranklens/events.jsonl.gz", "rt", encoding="utf-8") as lines:
        events = [json.loads(line) for line in lines]
    rankings = pl.DataFrame(
        {
            "request_id": one["id"],
            "user_id": one["user"],
            "time_ms": int(one["timestamp"]),
            "item_id": [item["id"] for item in one["items"]],
            "position": list(range(len(one["items"]))),
        }
        for one in events
        if one["event"] == "ranking"
    )
    liked = pl.DataFrame(
        {"request_id": one["ranking"], "item_id": one["item"], "liked": 1.0}
        for one in events
        if one["event"] == "interaction"
    )
    movies = rankings.explode("item_id", "position")
    joined = movies.join(liked.unique(), on=["request_id", "item_id"], how="left")
    return joined.with_columns(pl.col("liked").fill_null(0.0))


@pytest.fixture(scope="module")
def windows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sealed windows of the whole data set."""
    folder = tmp_path_factory.mktemp("ranklens")
    replay = ["replay", "ranklens", "--source", ROOT / "examples/ranklens"]
    command([*replay, "--out", folder / "events"])
    pipeline = ["pipeline", "--spec", SPEC_FILE, "--source", folder / "events", "--final"]
    command([*pipeline, "--windows", folder / "windows", "--shards", "2"])
    return folder / "windows"


def command(words: list[object]) -> None:
    """Run one command, which must end well."""
    assert main([str(word) for word in words]) == 0


@pytest.fixture(scope="module")
def samples(windows: Path) -> pl.DataFrame:
    """One row a sample, out of the sealed windows."""
    store = WindowStore(windows)
    parts = [
        _flat(pl.DataFrame(pl.from_arrow(batch)))
        for manifest in store.windows()
        for batch in store.read_users(manifest.window_start_ms, SPEC)
    ]
    return pl.concat(parts)


def _flat(users: pl.DataFrame) -> pl.DataFrame:
    requests = users.select("user_id", "window_start_ms", "requests").explode("requests")
    candidates = pl.col("candidates").struct
    click = candidates.field("labels").struct.field("click").struct
    lists = {
        **{name: candidates.field(name) for name in ("item_id", "position", "origin")},
        "liked": click.field("value"),
        "tier": click.field("tier"),
        "liked_ms": click.field("time_ms"),
    }
    flat = requests.unnest("requests").select(
        "window_start_ms", "user_id", "query", "time_ms", request_id="id", **lists
    )
    return flat.explode(*lists).with_columns(pl.col("position").cast(pl.Int64))


def test_every_sample_and_every_label_is_that_of_the_file(
    samples: pl.DataFrame, raw: pl.DataFrame
) -> None:
    columns = ["request_id", "position", "item_id", "user_id", "time_ms", "liked"]
    mine, theirs = (one.select(columns).sort("request_id", "position") for one in (samples, raw))
    assert (len(theirs), theirs["liked"].sum()) == (9_800 * 24, 46_125)
    assert mine.equals(theirs)


def test_every_click_names_its_ranking_and_comes_five_seconds_later(samples: pl.DataFrame) -> None:
    liked = samples.filter(pl.col("liked") > 0)
    assert [TIERS[tier] for tier in liked["tier"].unique()] == ["direct"]
    assert (liked["liked_ms"] - liked["time_ms"]).unique().to_list() == [5_000]
    assert samples.filter(pl.col("liked") == 0)["tier"].null_count() == len(samples) - len(liked)


def test_lists_are_whole_and_have_no_query(samples: pl.DataFrame) -> None:
    """Every candidate was shown, so there is nothing that rule 9 could keep."""
    assert samples["query"].null_count() == len(samples)
    assert [ORIGINS[origin] for origin in samples["origin"].unique()] == ["exposed"]
    assert SPEC.target is None


def test_windows_hold_what_was_asked_in_their_time(
    windows: Path, raw: pl.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    command(["windows", "ls", windows, "--json"])
    rows = json.loads(capsys.readouterr().out)
    listed = [
        (window_start(row["window"]), row["users"], row["requests"], row["samples"]) for row in rows
    ]
    start = pl.col("time_ms") // WINDOW_MS * WINDOW_MS
    asked = raw.group_by(start).agg(
        pl.col("user_id").n_unique(), pl.col("request_id").n_unique(), samples=pl.len()
    )
    assert listed == asked.sort("time_ms").rows()
    assert len(listed) == 5


def test_a_record_shows_a_list_and_what_was_liked_of_it(
    windows: Path, raw: pl.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = raw.sort("time_ms", "request_id")
    user, time_ms = asked.select("user_id", "time_ms").row(0)
    name = WindowStore(windows).folder(time_ms // WINDOW_MS * WINDOW_MS).name
    command(["windows", "show", windows, name, "--user", user, "--json"])
    first = json.loads(capsys.readouterr().out)["requests"][0]
    movies = asked.filter(request_id=first["id"]).sort("position")
    assert first["candidates"]["item_id"] == movies["item_id"].to_list()
    assert first["candidates"]["labels"]["click"]["value"] == movies["liked"].to_list()
    assert len(first["candidates"]["genres"]) == 24


def test_a_learner_scores_every_list_before_it_learns_it(
    windows: Path, raw: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # MLflow puts artifacts there
    train = ["train", "--spec", SPEC_FILE, "--windows", windows, "--state", tmp_path / "state"]
    model = ["--model", "dlrm_mlp", "--preset", "tiny"]
    command([*train, *model, "--mlflow", f"sqlite:///{tmp_path}/mlflow.db", "--once"])
    journal = Journal(tmp_path / "state" / "metrics.jsonl")
    scored = [one for one, _ in journal.since(0) if "click/all/qauc" in one.metrics]
    start = pl.col("time_ms") // WINDOW_MS * WINDOW_MS
    asked = raw.group_by(start).len().sort("time_ms").rows()
    samples = [(one.window_start_ms, one.metrics["click/all/samples"]) for one in scored]
    assert samples == asked
    fourth, learned = scored[3].window_start_ms, scored[3].metrics
    lists = raw.filter(start == fourth).group_by("request_id").agg(pl.col("liked").sum())
    assert learned["click/all/qauc"] > 0.68, "1,194 lists, after 8,595 others"
    assert learned["click/all/hr_at_5"] > _hit_rate_by_luck(lists["liked"]) + 0.1


def _hit_rate_by_luck(liked: pl.Series) -> float:
    """The chance that five of 24 movies drawn at random hold a liked one, over lists with one."""
    numbers = [int(number) for number in liked if number]
    missed = sum(comb(24 - number, 5) for number in numbers) / comb(24, 5)
    return 1 - missed / len(numbers)
