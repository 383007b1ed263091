"""Rules 1, 2 and 4, by hand. Tier 0 is `direct`, tier 1 `in_domain`."""

import pytest

from schemas.spec import LabelValue
from tests.oracle import Seal
from tests.oracle.examples import (
    act,
    candidate,
    label,
    outcome_of,
    product,
    read,
    refund,
    show,
    task,
)

BOTH = product(task("click", horizon_ms=40), task("buy", horizon_ms=40), maturity_ms=100)
"""Windows are sealed after everything here has happened."""


def test_rule_1_both_ends_of_the_horizon_belong_to_it() -> None:
    spec = product(task("click", horizon_ms=20), maturity_ms=100)
    for time_ms, value in ((2, 0.0), (3, 1.0), (23, 1.0), (24, 0.0)):
        assert label(outcome_of(spec, show(3), act("click", time_ms)))[0] == value


def test_rule_1_only_an_exposed_candidate_of_the_same_user_and_item_is_credited() -> None:
    items = [candidate("a", 0), candidate("b", 1, exposed=False)]
    wrong = read(act("click", 3, "1", item="b"), act("click", 3, "2", user="v"))
    outcome = outcome_of(BOTH, show(1, items=items), wrong)
    assert label(outcome)[0] == 0.0
    assert outcome.counters["no_sample/click"] == 2


def test_rule_1_a_named_request_without_such_a_sample_is_as_good_as_not_named() -> None:
    shown = read(show(1, "r"), show(2, "s", items="b"))
    outcome = outcome_of(BOTH, shown, act("click", 3, request_id="s"))
    assert label(outcome, "r") == (1.0, 1, "e", 3, False)


def test_rule_2_a_named_request_of_the_same_domain_is_direct() -> None:
    shown = read(show(1, "r"), show(2, "s"), show(2, "t", scenario="find"))
    outcome = outcome_of(BOTH, shown, act("click", 3, request_id="r"))
    assert label(outcome, "r") == (1.0, 0, "e", 3, False)
    # t is of another domain than the event's scenario: the latest of its own domain.
    outcome = outcome_of(BOTH, shown, act("click", 3, request_id="t"))
    assert label(outcome, "s") == (1.0, 1, "e", 3, False)


def test_rule_2_a_click_goes_to_the_latest_exposed_and_ties_to_the_smaller_request_id() -> None:
    shown = read(show(1, "a"), show(2, "é"), show(2, "z"), show(4, "y"))
    outcome = outcome_of(BOTH, shown, act("click", 3))
    assert [label(outcome, request)[0] for request in ("a", "é", "z", "y")] == [0, 0, 1, 0]


def test_rule_2_a_conversion_goes_to_the_latest_clicked_else_to_the_latest_exposed() -> None:
    shown = read(show(1, "r"), show(2, "s"))
    clicked = act("click", 3, request_id="r")
    outcome = outcome_of(BOTH, shown, clicked, act("buy", 4))
    assert label(outcome, "r", "buy") == (1.0, 1, "e", 4, False)
    # Before the click nothing is clicked.
    outcome = outcome_of(BOTH, shown, clicked, act("buy", 2))
    assert label(outcome, "s", "buy") == (1.0, 1, "e", 2, False)


def test_rule_3_a_retracted_click_counts_for_conversions_before_its_retraction() -> None:
    events = read(show(1, "r"), show(2, "s"), act("click", 3, request_id="r"), refund(6))
    assert label(outcome_of(BOTH, events, act("buy", 5)), "r", "buy")[0] == 1.0
    assert label(outcome_of(BOTH, events, act("buy", 6)), "s", "buy")[0] == 1.0


def test_rule_3_a_flag_follows_the_longest_horizon_of_the_streams_tasks() -> None:
    # tap has no task and raises no flag; click has 40 ms, whatever domains its task names.
    spec = product(
        task("click", horizon_ms=40, domains=("search",)),
        task("buy", horizon_ms=40),
        maturity_ms=100,
    )
    shown = read(show(1, "r"), show(2, "s"))
    tapped, clicked = (act(stream, 3, request_id="r") for stream in ("tap", "click"))
    assert label(outcome_of(spec, shown, tapped, act("buy", 4)), "s", "buy")[0] == 1.0
    assert label(outcome_of(spec, shown, clicked, act("buy", 4)), "r", "buy")[0] == 1.0


def test_rule_8_a_late_click_counts_for_what_is_settled_with_it_or_later() -> None:
    shown, clicked = read(show(1, "r"), show(2, "s")), act("click", 3, "c", request_id="r")
    buys = read(act("buy", 8, "1"), act("buy", 18, "2"))
    outcome = outcome_of(BOTH, shown, buys, Seal(10), clicked)
    # Cut 10 knew no click: buy 1 stays with s. At cut 20 r is clicked: buy 2.
    assert label(outcome, "s", "buy")[:3] == (1.0, 1, "1")
    assert label(outcome, "r", "buy")[:3] == (1.0, 1, "2")


def test_a_late_conversion_does_not_see_a_forgotten_click() -> None:
    # M = 40. At last cut 40 clicks are remembered from 0 on, at 50 from 10 on.
    events = read(show(1, "r"), show(2, "s"), act("click", 3, request_id="r"))
    for last_cut, credited in ((40, "r"), (50, "s")):
        outcome = outcome_of(BOTH, events, Seal(last_cut), act("buy", 25))
        assert label(outcome, credited, "buy")[0] == 1.0


def test_a_label_outside_the_domains_of_its_task_is_missing() -> None:
    spec = product(task("click", domains=("search",)))
    outcome = outcome_of(spec, show(1), act("click", 2))
    assert label(outcome) == (None, None, None, None, False)
    # The task does not name the event's own domain: it is no (event, task).
    assert "no_sample/click" not in outcome.counters


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("binary", (1.0, 1, "b", 4, False)),
        # In order of (time, id): 1e16 + 1.0 + 1.0 - 1e16 = 0.0, for 1e16 + 1.0 rounds to 1e16.
        ("sum", (0.0, 1, "b", 4, False)),
        ("max", (1e16, 1, "b", 4, False)),
        ("last", (-1e16, 1, "a", 6, False)),
    ],
)
def test_rule_4_the_value_of_a_label(value: LabelValue, expected: tuple[object, ...]) -> None:
    spec = product(task("buy", value=value), maturity_ms=100)
    amounts = [(6, "a", -1e16), (5, "d", 1.0), (4, "b", 1e16), (5, "c", 1.0)]
    bought = read(*(act("buy", time, name, value=amount) for time, name, amount in amounts))
    assert label(outcome_of(spec, show(1), bought), "r", "buy") == expected


def test_rule_4_the_first_among_equals_is_the_largest() -> None:
    spec = product(task("buy", value="max"), maturity_ms=100)
    bought = read(*(act("buy", 4, name, value=2.0) for name in ("z", "é", "a")))
    assert label(outcome_of(spec, show(1), bought), "r", "buy") == (2.0, 1, "a", 4, False)


def test_rule_4_what_no_sample_received_is_counted_at_the_first_cut_a_window_later() -> None:
    # t_e + length + maturity = 3 + 10 + 0 = 13: decided at cut 20, with requests up to 20.
    for shown_at, name in ((20, "before_request/click"), (21, "no_sample/click")):
        outcome = outcome_of(product(), act("click", 3), show(shown_at))
        assert outcome.counters[name] == 1
    # Another domain's request does not count.
    outcome = outcome_of(product(), act("click", 3), show(20, scenario="find"))
    assert outcome.counters["no_sample/click"] == 1


def test_rule_4_a_withdrawn_credit_counts_as_received() -> None:
    outcome = outcome_of(product(), show(1), act("click", 2), refund(3))
    assert label(outcome)[0] == 0.0
    assert "no_sample/click" not in outcome.counters
