"""Identity and time, by hand."""

import math

import pytest

from tests.oracle import Event, Read, Seal, SealAll, run
from tests.oracle.examples import (
    act,
    candidate,
    label,
    outcome_of,
    product,
    read,
    reasons,
    refund,
    show,
    task,
)
from tests.oracle.identity import digest


def test_cuts_lie_on_the_grid_of_length_and_maturity() -> None:
    # length 10, maturity 13: cuts ..., 3, 13, 23; window [0, 10) is sealed at 23.
    window = product(maturity_ms=13).window
    assert [window.cut_at_or_after(time) for time in (0, 3, 4, 13, 14)] == [3, 3, 13, 13, 23]
    assert window.cut(window.start(9)) == 23


def test_a_seal_off_the_grid_or_after_the_end_is_an_error() -> None:
    with pytest.raises(ValueError, match="grid"):
        run(product(), [Seal(11)])
    with pytest.raises(ValueError, match="nothing after"):
        run(product(), [SealAll(), Seal(10)])


def test_an_event_further_ahead_than_the_clock_allows_is_future() -> None:
    # The clock says 10 and 5 ahead are allowed: 15 is fine, 16 is not.
    batch = Read((show(15), show(16, "s")), now_ms=10)
    assert reasons(outcome_of(product(), batch)) == ["future"]


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (show(-1), "bad_time"),
        (act("click", -1), "bad_time"),
        (show(1, scenario="nowhere"), "unknown_scenario"),
        (act("click", 1, scenario="nowhere"), "unknown_scenario"),
        (refund(1, stream="nothing"), "unknown_stream"),
        (refund(1, stream="show"), "unknown_stream"),
        (act("buy", 1), "missing_value"),
        (act("buy", 1, value=math.inf), "missing_value"),
        (act("click", 1, value=math.nan), "bad_number"),
        (show(1, items=[]), "no_candidates"),
        (show(1, items=[candidate("a", 0), candidate("b", 0)]), "bad_position"),
        (show(1, items=[candidate("a", 0), candidate("a", 0)]), "bad_position"),
        (show(1, items=[candidate("a", -1)]), "bad_position"),
    ],
)
def test_an_unusable_event_is_a_dead_letter_and_nothing_else(event: Event, reason: str) -> None:
    outcome = outcome_of(product(task("click"), task("buy", value="sum")), event)
    assert outcome.dead_letters == [(event.stream, "file", 0, reason)]
    assert outcome.windows == {}
    assert not outcome.counters


def test_reasons_are_tried_in_order() -> None:
    bad = show(-1, scenario="nowhere", items=[])
    assert reasons(outcome_of(product(), bad)) == ["bad_time"]
    bad = show(2000, scenario="nowhere", items=[])
    assert reasons(outcome_of(product(), bad)) == ["future"]


def test_a_repeated_item_keeps_its_exposed_occurrence_at_the_lowest_position() -> None:
    # a: exposed at 2 and 3, hidden at 0: 2 stays. b: hidden at 1 and 4: 1 stays, not exposed.
    items = [
        candidate("a", 0, exposed=False),
        candidate("b", 1, exposed=False),
        candidate("a", 3),
        candidate("a", 2),
        candidate("b", 4, exposed=False),
    ]
    outcome = outcome_of(product(), show(1, items=items))
    candidates = outcome.windows[0].users[0]["requests"][0]["candidates"]
    assert (candidates["item_id"], candidates["position"]) == (["a"], [2])
    assert outcome.counters["repeated_item"] == 3
    # A copy of the request that does not live counts as a duplicate and nothing else.
    twice = outcome_of(product(), read(show(1, items=items), show(2, items=items)))
    assert twice.counters == {"accepted/show": 1, "duplicate": 1, "repeated_item": 3}


def test_of_equal_identities_the_earliest_lives_and_the_others_are_duplicates() -> None:
    outcome = outcome_of(product(), read(show(7), show(3, items="b"), show(15)))
    [request] = outcome.windows[0].users[0]["requests"]
    assert (request["time_ms"], request["candidates"]["item_id"]) == (3, ["b"])
    assert outcome.counters == {"duplicate": 2, "accepted/show": 1}


def test_at_equal_times_the_smaller_digest_lives() -> None:
    spec, one, two = product(), show(3, items="a"), show(3, items="b")
    smaller = min(one, two, key=lambda event: digest(spec, event))
    outcome = outcome_of(spec, read(one, two))
    [request] = outcome.windows[0].users[0]["requests"]
    assert request["candidates"]["item_id"] == [smaller.fields["candidates"][0]["item_id"]]


def test_equal_ids_of_other_users_or_streams_are_unrelated() -> None:
    spec = product(task("click"), task("buy"))
    same_id = read(act("click", 3), act("buy", 3), act("click", 3, user="v"), show(1))
    assert outcome_of(spec, same_id, show(1, user="v")).counters["duplicate"] == 0


def test_an_id_is_forgotten_when_it_is_older_than_the_cut_before_less_the_memory() -> None:
    # M = 20. Read for cut 40 the cut before is 30: remembered from 10 on.
    spec = product(task("click", horizon_ms=20))
    assert outcome_of(spec, show(10), show(35)).counters["duplicate"] == 1
    assert outcome_of(spec, show(9), show(35)).counters["duplicate"] == 0


def test_a_dead_letter_reserves_no_id() -> None:
    outcome = outcome_of(product(), read(show(1, items=[]), show(2)))
    assert outcome.counters == {"accepted/show": 1}


def test_a_late_copy_of_a_settled_request_is_a_duplicate_and_any_other_late_one_refused() -> None:
    outcome = outcome_of(product(), show(5), Seal(10), read(show(5), show(10, "s")))
    assert outcome.counters == {"accepted/show": 1, "duplicate": 1}
    assert reasons(outcome) == ["late"]


def test_a_late_exposure_whose_copy_is_not_settled_yet_is_refused() -> None:
    # Request r of time 15 was read, but no sealed cut has settled it.
    outcome = outcome_of(product(), show(15), Seal(10), show(5))
    assert reasons(outcome) == ["late"]
    assert outcome.counters == {"accepted/show": 1}


def test_late_feedback_is_refused_only_beyond_the_memory() -> None:
    # M = 20, last cut 30: 10 is settled at the next cut, 9 is refused.
    early = read(act("click", 10, "1"), act("click", 9, "2"))
    outcome = outcome_of(product(), show(1), Seal(30), early)
    assert reasons(outcome) == ["late"]
    assert outcome.counters["late/click"] == 1


def test_an_item_event_is_never_too_late() -> None:
    item = Event("shelf", {"item_id": "a", "time_ms": 1, "title": None}, "file", 0)
    outcome = outcome_of(product(), Seal(100), read(item, item))
    assert outcome.counters == {"accepted/shelf": 1, "late/shelf": 1, "duplicate": 1}


def test_feedback_without_a_scenario_has_the_domain_of_the_request_it_names() -> None:
    # r is of domain feed; s of domain search is later, but not named.
    shown = read(show(1), show(2, "s", scenario="find"))
    clicked = act("click", 5, scenario=None, request_id="r")
    outcome = outcome_of(product(), shown, clicked)
    assert label(outcome, "r")[:3] == (1.0, 0, "e")
    assert label(outcome, "s")[0] == 0.0


def test_feedback_without_a_scenario_or_a_request_has_no_domain_and_no_sample() -> None:
    # The longest horizon is 20: at 22 the request of time 1 is not named any more, at 21 it is.
    clicked = act("click", 21, scenario=None, request_id="r")
    assert outcome_of(product(), show(1), clicked).counters["no_sample/click"] == 0
    for time_ms, request_id in ((5, None), (5, "other"), (22, "r")):
        clicked = act("click", time_ms, scenario=None, request_id=request_id)
        assert outcome_of(product(), show(1), clicked).counters["no_sample/click"] == 1
