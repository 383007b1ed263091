"""An event is unambiguous if no other request could be taken for its cause: counted anew."""

from dataclasses import replace
from pathlib import Path

import polars as pl

from pipelines.simulate.world import DAY_MS
from tests.simulate.conftest import Written, write


def test_rivals_are_those_of_a_plain_join(tiny: Written) -> None:
    world, target = tiny.world, tiny.world.target
    events = tiny.truth("feedback").select(
        "stream", "event_id", "user_id", "item_id", "time_ms", "domain", "named", "rivals",
        via=pl.col("via_request_id").fill_null(""), cause=pl.col("cause_request_id").fill_null(""),
    )  # fmt: skip
    offered = tiny.candidates().select(
        "user_id", "item_id", "request_id", "shown", offered_ms="time_ms", offered_in="domain"
    )
    age = pl.col("time_ms") - pl.col("offered_ms")
    foreign = (pl.col("offered_in") == target) & (pl.col("domain") != target)
    own = (pl.col("offered_in") == pl.col("domain")) & pl.col("shown") & ~pl.col("named")
    other = (pl.col("request_id") != pl.col("cause")) & (pl.col("request_id") != pl.col("via"))
    counts = (
        events.join(offered, on=["user_id", "item_id"])
        .filter(age.is_between(0, world.lookback_ms) & other & (foreign | own))
        .group_by("stream", "event_id")
        .agg(expected=pl.len())
    )
    both = events.join(counts, on=["stream", "event_id"], how="left")
    # The last days' requests are all that is remembered of what comes after the world's end.
    inside = both.filter(pl.col("time_ms") < world.end_ms)
    assert (inside["rivals"] == inside["expected"].fill_null(0)).all()
    assert (inside["rivals"] > 0).any()


def test_what_is_late_or_has_a_late_cause_is_not_beyond_doubt(tiny: Written) -> None:
    feedback = tiny.truth("feedback")
    late = tiny.truth("requests").filter("late").select("request_id")
    after_late = feedback.join(late, left_on="cause_request_id", right_on="request_id")
    assert len(after_late) > 0
    assert not after_late["unambiguous"].any()
    assert not feedback.filter("late")["unambiguous"].any()
    assert not feedback.filter(pl.col("rivals") > 0)["unambiguous"].any()
    assert 0.5 < feedback["unambiguous"].mean() < 1


def test_beyond_doubt_is_what_has_a_remembered_cause_and_nothing_against_it(
    tiny: Written, tmp_path: Path
) -> None:
    world = replace(tiny.world, lookback_ms=tiny.world.slice_ms)
    forgetful = write(world, tmp_path)
    midnight = (pl.col("time_ms") - world.start_ms) // DAY_MS * DAY_MS + world.start_ms
    oldest, caused_ms = midnight - world.lookback_ms, pl.col("cause_time_ms")
    causes = forgetful.truth("requests").select("request_id", cause_late="late")
    named = forgetful.truth("feedback").filter(pl.col("named"), pl.col("time_ms") < world.end_ms)
    both = named.join(causes, left_on="cause_request_id", right_on="request_id")
    sound = (pl.col("rivals") == 0) & ~pl.col("late") & ~pl.col("cause_late")
    remembered = both.filter(caused_ms >= oldest)
    assert remembered.select((sound == pl.col("unambiguous")).all()).item()
    assert 0.5 < remembered["unambiguous"].mean() < 1
    forgotten = both.filter(caused_ms < oldest - world.slice_ms)
    assert len(forgotten) > 0
    assert not forgotten["unambiguous"].any()
