"""An event is unambiguous if no other request could be taken for its cause: counted anew."""

import polars as pl

from tests.simulate.conftest import Written


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
