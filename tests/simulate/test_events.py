"""What is in the streams: sound but for what was planted, and every fault at its rate."""

import time
from dataclasses import replace
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from pipelines.simulate.world_file import scaled
from pipelines.sources.files import FilesSource
from pipelines.validate import validate
from tests.simulate.conftest import Written, write
from tests.simulate.rates import fits

FEEDBACK = ("click", "cart", "conversion")
FACT_COLUMNS = {"click": "event_id", "cart": "event_id", "conversion": "event_id",
                "exposure": "request_id"}  # fmt: skip


def test_only_what_was_planted_is_refused(tiny: Written) -> None:
    source = FilesSource(tiny.out / "events", tiny.spec)
    letters = []
    for file in source.discover():
        for part in source.ranges(file, 0, 10_000):
            raw = source.read_range(part)
            letters += validate(
                tiny.spec, file.stream, raw, time.time_ns() // 10**6, file.name
            ).dead_letters.to_pylist()
    clicks = tiny.events("click")
    planted = clicks.filter(pl.col("scenario") == "unlisted_page")
    assert {(one["stream"], one["reason"]) for one in letters} == {("click", "unknown_scenario")}
    assert len(letters) == len(planted) > 0
    assert set(planted["event_id"].str.head(1)) == {"x"}
    assert fits(len(planted), len(clicks), tiny.world.faults.unknown_scenario)


@pytest.mark.parametrize("stream", FACT_COLUMNS)
def test_copies_come_at_their_rates_and_as_truth_says(tiny: Written, stream: str) -> None:
    key = FACT_COLUMNS[stream]
    groups = (
        tiny.events(stream)
        .filter(~pl.col(key).str.starts_with("x"))
        .group_by(key)
        .agg(pl.len(), times=pl.col("time_ms").n_unique())
    )
    seen = {
        "none": (groups["len"] == 1).sum(),
        "exact": ((groups["len"] == 2) & (groups["times"] == 1)).sum(),
        "moved": ((groups["len"] == 2) & (groups["times"] == 2)).sum(),
    }
    assert sum(seen.values()) == len(groups)
    assert fits(seen["exact"], len(groups), tiny.world.faults.duplicate)
    assert fits(seen["moved"], len(groups), tiny.world.faults.moved_duplicate)
    told = _truth(tiny, stream)["copies"].value_counts()
    assert dict(told.iter_rows()) == {kind: count for kind, count in seen.items() if count}


@pytest.mark.parametrize("stream", FACT_COLUMNS)
def test_disorder_stays_within_the_slack_but_for_the_late(tiny: Written, stream: str) -> None:
    key, slack = FACT_COLUMNS[stream], tiny.spec.time.slack_ms
    assert tiny.world.faults.disorder_ms <= slack
    events = tiny.events(stream).with_columns(
        behind=pl.col("time_ms").cum_max() - pl.col("time_ms")
    )
    truth = _truth(tiny, stream)
    late = set(truth.filter("late")[key])
    beyond = set(events.filter(pl.col("behind") > slack)[key])
    assert beyond <= late
    assert events.filter(~pl.col(key).is_in(list(late)))["behind"].max() > 0
    assert fits(len(late), len(truth), tiny.world.faults.late)


def test_frequent_faults_come_at_their_rates(tiny: Written, tmp_path: Path) -> None:
    faults = replace(tiny.world.faults, late=0.2, duplicate=0.1, moved_duplicate=0.3)
    often = write(replace(scaled(tiny.world, days=1), faults=faults), tmp_path / "often")
    for name in ("requests", "feedback", "retractions"):
        told = often.truth(name)
        assert fits(told["late"].sum(), len(told), faults.late), name
        assert fits((told["copies"] == "exact").sum(), len(told), faults.duplicate), name
        assert fits((told["copies"] == "moved").sum(), len(told), faults.moved_duplicate), name


def test_late_events_are_behind_by_more_than_the_slack(tiny: Written) -> None:
    clicks = tiny.events("click").with_columns(newest=pl.col("time_ms").cum_max())
    late = _truth(tiny, "click").filter("late").select("event_id")
    behind = clicks.join(late, on="event_id").select(pl.col("newest") - pl.col("time_ms"))
    assert len(behind) > 0
    assert behind.to_series().median() > tiny.spec.time.slack_ms


@pytest.mark.parametrize("stream", FEEDBACK)
def test_request_ids_and_scenarios_go_missing_at_their_rates(tiny: Written, stream: str) -> None:
    faults = tiny.world.faults
    direct = _truth(tiny, stream).filter(pl.col("journey") == "direct")
    rate = faults.missing_request_id[stream]
    assert fits(direct.filter(~pl.col("named")).height, len(direct), rate)
    logged = tiny.events(stream).unique("event_id").join(direct, on="event_id")
    assert fits(logged["scenario"].null_count(), len(logged), faults.missing_scenario)
    assert logged.filter(pl.col("request_id").is_null() == pl.col("named")).is_empty()


def test_a_named_request_is_the_one_where_it_happened(tiny: Written) -> None:
    for stream in FEEDBACK:
        named = tiny.events(stream).join(_truth(tiny, stream).filter("named"), on="event_id")
        assert (named["request_id"] == named["via_request_id"]).all()


def test_retractions_come_at_their_rates_and_name_what_they_cancel(tiny: Written) -> None:
    taken = tiny.truth("retractions")
    for stream in FEEDBACK:
        feedback = _truth(tiny, stream)
        mine = taken.filter(pl.col("stream") == stream)
        assert fits(len(mine), len(feedback), tiny.world.retractions[stream])
        pairs = mine.join(feedback, on=["event_id", "user_id"])
        assert len(pairs) == len(mine)
        assert (pairs["time_ms"] == pairs["retracted_ms"]).all()
        assert feedback["retracted_ms"].count() == len(mine)
    events = tiny.events("retraction").unique(["stream", "event_id"]).select("stream", "event_id")
    assert events.sort(events.columns).equals(
        taken.select("stream", "event_id").sort("stream", "event_id")
    )


def test_prices_in_exposures_are_those_of_the_latest_entry(tiny: Written) -> None:
    unmoved = _truth(tiny, "exposure").filter(copies="none").select("request_id")
    shown = (
        tiny.events("exposure").join(unmoved, on="request_id")
        .select("time_ms", "candidates").explode("candidates").unnest("candidates")
        .sort("time_ms")
    )  # fmt: skip
    entries = tiny.events("item").select("time_ms", "item_id", newest="price").sort("time_ms")
    both = shown.join_asof(entries, on="time_ms", by="item_id", check_sortedness=False)
    assert (both["price"] == both["newest"]).all()
    assert (entries.group_by("item_id").len()["len"] > 1).any()


def test_titles_and_unique_queries_come_at_their_rates(tiny: Written) -> None:
    items = tiny.events("item").unique("item_id")
    assert fits(items["title"].null_count(), len(items), tiny.world.items.without_title)
    queries = tiny.truth("requests").filter(pl.col("query").is_not_null())
    known = tiny.truth("queries")["query"].to_list()
    rare = queries.filter(~pl.col("query").is_in(known))
    assert fits(len(rare), len(queries), tiny.world.texts.seen_once)
    assert rare["query"].n_unique() == len(rare)


def test_row_groups_tell_when_they_begin(tiny: Written) -> None:
    for stream in tiny.spec.streams:
        metadata = pq.read_metadata(tiny.files(stream)[0])
        at = metadata.schema.names.index("time_ms")
        assert metadata.row_group(0).column(at).statistics.has_min_max


def _truth(tiny: Written, stream: str) -> pl.DataFrame:
    if stream == "exposure":
        return tiny.truth("requests")
    return tiny.truth("feedback").filter(pl.col("stream") == stream)
