"""The whole tiny world through the pipeline: what is beyond doubt is credited as truth says."""

import json
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from pipelines.drivers.direct import DirectSettings, Summary, run
from pipelines.simulate.world_file import scaled
from schemas.labels import ORIGIN_CODES, QUERY_PATHS, TIER_CODES, TIERS
from schemas.windows import WindowStore
from tests.simulate.conftest import SPEC, Written, users_of, write

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def windows(tiny: Written, tmp_path_factory: pytest.TempPathFactory) -> tuple[Summary, WindowStore]:
    folder = tmp_path_factory.mktemp("pipeline")
    settings = DirectSettings(
        SPEC,
        tiny.out / "events",
        folder / "windows",
        folder / "state",
        shards=1,
        epoch_rows=10_000,
        final=True,
    )
    return run(settings), WindowStore(folder / "windows")


@pytest.fixture(scope="module")
def clicks(windows: tuple[Summary, WindowStore]) -> pl.DataFrame:
    """One row a sealed click label: event, and the request and item that it is on."""
    _, store = windows
    return pl.concat(_clicks(users) for users in users_of(store))


def _clicks(users: pl.DataFrame) -> pl.DataFrame:
    requests = users.select("user_id", "requests").explode("requests").unnest("requests")
    candidates, label = pl.col("candidates").struct, pl.col("labels").struct.field("click").struct
    flat = requests.select(
        "user_id", "id", candidates.field("item_id"), candidates.field("labels")
    ).select("user_id", "id", "item_id", label.field("event_id"), label.field("tier"))
    return flat.explode("item_id", "event_id", "tier").drop_nulls("event_id")


def test_the_pipeline_reads_all_and_refuses_what_was_planted(
    tiny: Written, windows: tuple[Summary, WindowStore]
) -> None:
    summary, store = windows
    assert summary.final and summary.sealed == len(store.windows()) > 12
    dead = {name for name, count in summary.totals.items() if name.startswith("dead/") and count}
    assert dead <= {"dead/click/unknown_scenario", *(f"dead/{name}/late" for name in SPEC.streams)}
    for stream in SPEC.streams:
        refused = sum(n for name, n in summary.totals.items() if name.startswith(f"dead/{stream}/"))
        assert summary.totals[f"accepted/{stream}"] + refused >= len(tiny.events(stream))


def test_a_direct_click_beyond_doubt_is_credited_to_its_cause(
    tiny: Written, clicks: pl.DataFrame
) -> None:
    truth = tiny.truth("feedback").filter("unambiguous", stream="click", journey="direct")
    own = clicks.filter(pl.col("tier").is_in([TIER_CODES["direct"], TIER_CODES["in_domain"]]))
    both = own.join(truth, on=["event_id", "user_id", "item_id"])
    assert len(both) > 0.9 * len(truth)
    assert (both["id"] == both["cause_request_id"]).all()
    tiers = both.select(
        "named", tier=pl.col("tier").replace_strict(dict(enumerate(TIERS)), return_dtype=pl.String)
    )
    assert set(tiers.unique().rows()) == {(True, "direct"), (False, "in_domain")}


def test_a_click_elsewhere_beyond_doubt_is_credited_to_the_search_it_came_from(
    tiny: Written, clicks: pl.DataFrame
) -> None:
    truth = tiny.truth("feedback").filter("unambiguous", stream="click", journey="cross_click")
    shown = truth.filter(cause_origin="exposed")
    by_rule_3 = pl.col("tier").is_in([TIER_CODES[name] for name in ("clicked", "exposed")])
    both = clicks.filter(by_rule_3).join(shown, on=["event_id", "user_id", "item_id"])
    assert len(both) > 0.9 * len(shown) > 10
    assert (both["id"] == both["cause_request_id"]).mean() >= 0.95


def test_a_resolved_query_has_the_intent_of_the_click(
    tiny: Written, windows: tuple[Summary, WindowStore]
) -> None:
    """By path; a random query has it about once in as many as there are intents.

    The bounds catch a break in this small world; `benchmarks/entire_space.py` holds the goals.
    """
    found = _pseudo_requests(windows[1]).drop_nulls("query")
    queries = tiny.truth("queries").select("query", asked=pl.col("intent"))
    clicked = tiny.truth("feedback").filter(stream="click").select("event_id", "user_id", "intent")
    both = found.join(queries, on="query").join(clicked, on=["event_id", "user_id"])
    right = both.group_by("query_path").agg(
        pl.len(), share=(pl.col("asked") == pl.col("intent")).mean()
    )
    shares = {QUERY_PATHS[path]: (n, share) for path, n, share in right.rows()}
    chance = (both["asked"].shuffle(seed=1) == both["intent"]).mean()
    assert shares["own"][1] >= 0.9, shares
    assert shares["co_occurrence"][1] >= 0.9, shares
    assert shares["nearest"][1] >= 0.5, shares
    assert chance < 0.1, chance


def _pseudo_requests(store: WindowStore) -> pl.DataFrame:
    """One row a pseudo-request: its query, how it was found, and the click that made it."""
    return pl.concat(_positives(users) for users in users_of(store))


def _positives(users: pl.DataFrame) -> pl.DataFrame:
    requests = users.select("user_id", "requests").explode("requests").unnest("requests")
    pseudo = requests.drop_nulls("source_request")
    candidates = pl.col("candidates").struct
    event = candidates.field("labels").struct.field("click").struct.field("event_id")
    flat = pseudo.select(
        "user_id", "query", "query_path", candidates.field("origin"), event.alias("event_id")
    ).explode("origin", "event_id")
    return flat.filter(origin=ORIGIN_CODES["searchified_positive"])


def test_only_what_truth_calls_late_comes_too_late(tiny: Written, tmp_path: Path) -> None:
    often = replace(tiny.world.faults, late=0.1)
    hours = replace(tiny.world.delays["late"], median_ms=12 * 3_600_000)
    small = replace(
        scaled(tiny.world, users=100, days=2),
        slice_ms=3_600_000,
        faults=often,
        delays={**tiny.world.delays, "late": hours},
    )
    written = write(small, tmp_path / "world")
    settings = DirectSettings(
        SPEC,
        written.out / "events",
        tmp_path / "windows",
        tmp_path / "state",
        shards=1,
        epoch_rows=1_000,
        final=True,
    )
    totals = run(settings).totals
    letters = pl.read_parquet(tmp_path / "windows" / "dead_letters" / "*.parquet")
    too_late = letters.filter(stream="exposure", reason="late")["raw"]
    refused = {json.loads(raw)["request_id"] for raw in too_late}
    assert refused <= set(written.truth("requests").filter("late")["request_id"])
    assert len(too_late) == totals["dead/exposure/late"] > 20
