"""What truth says is what happened: propensities, delays, causes."""

import polars as pl
import pytest

from pipelines.simulate.feedback import JOURNEYS
from tests.simulate.conftest import Written
from tests.simulate.rates import fits, fits_sum, follows


@pytest.fixture(scope="module")
def feedback(tiny: Written) -> pl.DataFrame:
    return tiny.truth("feedback")


@pytest.fixture(scope="module")
def candidates(tiny: Written) -> pl.DataFrame:
    free = pl.col("planted").is_null() | (pl.col("planted") != pl.col("position"))
    return tiny.candidates().filter(free)


@pytest.fixture(scope="module")
def direct(feedback: pl.DataFrame) -> pl.DataFrame:
    return feedback.filter(pl.col("journey") == "direct")


def test_clicks_come_by_examination_times_attraction(
    candidates: pl.DataFrame, direct: pl.DataFrame
) -> None:
    clicks = direct.filter(pl.col("stream") == "click")
    clicked = _on(candidates, clicks)
    for _, part in [("all", clicked), *clicked.group_by("domain", "position")]:
        assert fits_sum(part["clicked"].sum(), part["click"].cast(pl.Float64).to_numpy())
    tenths = clicked.filter("shown").group_by((pl.col("click") * 10).floor())
    for _, part in tenths:
        assert fits_sum(part["clicked"].sum(), part["click"].cast(pl.Float64).to_numpy())
    assert clicked.filter(~pl.col("shown"))["clicked"].sum() == 0
    assert clicked["clicked"].sum() == len(clicks)


def test_conversions_follow_clicks_by_their_propensity(
    tiny: Written, candidates: pl.DataFrame, direct: pl.DataFrame
) -> None:
    clicks = direct.filter(pl.col("stream") == "click")
    bought = direct.filter(pl.col("stream") == "conversion")
    chances = candidates.join(
        clicks.select("item_id", request_id="via_request_id"), on=["request_id", "item_id"]
    )["conversion"].cast(pl.Float64)
    assert len(chances) == len(clicks)
    assert fits_sum(len(bought), chances.to_numpy())
    carts = direct.filter(pl.col("stream") == "cart")
    assert fits(len(carts), len(clicks), tiny.world.follow.cart)


def test_what_is_remembered_comes_back_by_its_rates(
    tiny: Written, candidates: pl.DataFrame, feedback: pl.DataFrame
) -> None:
    rates = tiny.world.journeys
    target = candidates.filter(pl.col("domain") == tiny.world.target)
    clicked = _on(target, feedback.filter(stream="click", journey="direct"))
    likely, bought = pl.col("attraction"), pl.col("attraction") * pl.col("conversion")
    shown = pl.col("shown") & (pl.col("clicked") == 0)
    expected = {
        ("cross_click", "exposed"): (shown, rates.click_exposed * likely),
        ("cross_click", "unexposed"): (~pl.col("shown"), rates.click_unexposed * likely),
        ("cross_conversion", "exposed"): (shown, rates.conversion_exposed * bought),
        ("cross_conversion", "unexposed"): (~pl.col("shown"), rates.conversion_unexposed * bought),
        ("cross_conversion", "clicked"): (
            pl.col("clicked") == 1, rates.conversion_clicked * pl.col("conversion")),
    }  # fmt: skip
    for (journey, origin), (chosen, chance) in expected.items():
        count = feedback.filter(journey=journey, cause_origin=origin).height
        chances = clicked.filter(chosen).select(chance.cast(pl.Float64)).to_series()
        assert count > 0
        assert fits_sum(count, chances.to_numpy()), (journey, origin)


def test_delays_follow_their_distributions(tiny: Written, feedback: pl.DataFrame) -> None:
    delays, direct = tiny.world.delays, pl.col("journey") == "direct"
    since = (pl.col("time_ms") - pl.col("cause_time_ms")).alias("delay")
    clicks = feedback.filter(direct, stream="click").select(since)
    assert follows(clicks.to_series().to_numpy(), delays["click"])
    parents = feedback.filter(stream="click").select(
        parent_event_id="event_id", clicked_ms="time_ms"
    )
    for stream in ("cart", "conversion"):
        pairs = feedback.filter(stream=stream).join(parents, on="parent_event_id")
        waits = pairs.select(pl.col("time_ms") - pl.col("clicked_ms")).to_series().to_numpy()
        assert follows(waits, delays[stream]), stream
    taken = feedback.select(pl.col("retracted_ms") - pl.col("time_ms")).drop_nulls().to_series()
    assert follows(taken.to_numpy(), delays["retraction"])
    visits = feedback.filter(journey="cross_click").filter(pl.col("via_request_id").is_null())
    assert follows(visits.select(since).to_series().to_numpy(), delays["remembered_click"])


def test_causes_exist_and_come_first(tiny: Written, feedback: pl.DataFrame) -> None:
    caused = feedback.filter(pl.col("cause_request_id").is_not_null())
    pairs = caused.join(tiny.candidates(), left_on=["cause_request_id", "item_id"],
                        right_on=["request_id", "item_id"], suffix="_of_cause")  # fmt: skip
    assert len(pairs) == len(caused)
    assert (pairs["user_id"] == pairs["user_id_of_cause"]).all()
    assert (pairs["time_ms_of_cause"] == pairs["cause_time_ms"]).all()
    assert (pairs["domain_of_cause"] == pairs["cause_domain"]).all()
    assert (pairs["cause_time_ms"] <= pairs["time_ms"]).all()
    unseen = pairs.filter(pl.col("cause_origin") == "unexposed")
    assert not unseen["shown"].any()
    assert pairs.filter(pl.col("cause_origin") != "unexposed")["shown"].all()
    assert set(feedback["journey"]) == set(JOURNEYS)
    assert set(feedback.filter(pl.col("cause_request_id").is_null())["journey"]) == {"uncaused"}


def test_parents_are_clicks_of_the_same_user_and_item(feedback: pl.DataFrame) -> None:
    later = feedback.filter(pl.col("parent_event_id").is_not_null())
    clicks = feedback.filter(stream="click").select(
        "user_id", "item_id", "time_ms", "cause_request_id", parent_event_id="event_id"
    )
    pairs = later.join(clicks, on=["parent_event_id", "user_id", "item_id"], suffix="_click")
    assert len(pairs) == len(later) > 0
    assert (pairs["time_ms_click"] <= pairs["time_ms"]).all()
    assert pairs["cause_request_id"].equals(pairs["cause_request_id_click"])


def test_a_visit_shows_what_its_journey_leads_to(tiny: Written, feedback: pl.DataFrame) -> None:
    crossed = feedback.filter(pl.col("journey").is_in(["cross_click", "cross_conversion"]))
    visits = crossed.filter(pl.col("via_request_id").is_not_null())
    shown = tiny.candidates().filter(pl.col("position") == pl.col("planted"))
    pairs = visits.join(shown, left_on=["via_request_id", "item_id"],
                        right_on=["request_id", "item_id"])  # fmt: skip
    assert len(pairs) == len(visits) == tiny.truth("requests")["planted"].count()
    assert fits(crossed.height - len(visits), crossed.height,
                1 - tiny.world.journeys.named - tiny.world.journeys.unnamed)  # fmt: skip
    assert not (crossed["domain"] == tiny.world.target).any()
    share = tiny.world.journeys.named / (tiny.world.journeys.named + tiny.world.journeys.unnamed)
    for stream in ("click", "conversion"):
        mine = visits.filter(stream=stream)
        kept = 1 - tiny.world.faults.missing_request_id[stream]
        assert fits(mine["named"].sum(), len(mine), share * kept)


def test_the_intent_of_a_foreign_click_is_what_the_user_looked_for(
    tiny: Written, feedback: pl.DataFrame
) -> None:
    requests = tiny.truth("requests").select("request_id", asked="intent")
    crossed = feedback.filter(journey="cross_click").join(
        requests, left_on="cause_request_id", right_on="request_id"
    )
    assert (crossed["intent"] == crossed["asked"]).all()
    items = tiny.truth("items").select("item_id", own="intent")
    fed = feedback.filter(journey="direct", domain="feed").join(items, on="item_id")
    assert (fed["intent"] == fed["own"]).all()


def test_lists_hold_no_item_twice(tiny: Written) -> None:
    lists = tiny.truth("requests")["item"]
    assert (lists.list.n_unique() == lists.list.len()).all()


def _on(candidates: pl.DataFrame, clicks: pl.DataFrame) -> pl.DataFrame:
    """Candidates with `clicked`, 0 or 1."""
    counted = clicks.select("item_id", request_id="via_request_id", clicked=1)
    joined = candidates.join(counted, on=["request_id", "item_id"], how="left")
    return joined.with_columns(pl.col("clicked").fill_null(0))
