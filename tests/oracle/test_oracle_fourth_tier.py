"""Rule 10, by hand: labels of pseudo-samples. Tier 5 is `searchified`.

The target is search; windows of 10 ms are sealed 20 ms after their end: [0, 10) at 30.
"""

import dataclasses
from typing import Any

from schemas.spec import LabelValue, Searchify, Spec, Target, Task
from tests.oracle import Seal
from tests.oracle.examples import (
    act,
    label,
    outcome_of,
    product,
    pseudo_requests,
    read,
    refund,
    revisions,
    shelve,
    show,
    task,
)
from tests.oracle.schedule import Outcome

SEARCHIFY = Searchify(negatives=2, floor=0.0, query_memory=1)
TARGET = Target("search", searchify=SEARCHIFY)
FLAT = dataclasses.replace(TARGET, hierarchical=False)
F_A, G_A = "7b2e7dfa4503a6e2", "2a3d7a0ddedb6551"
"""The ids of what is made of item a of requests f and g."""


def spec_of(*tasks: Task, target: Target = TARGET, maturity_ms: int = 20) -> Spec:
    return product(*tasks, maturity_ms=maturity_ms, target=target)


CLICK, BUY = task("click", horizon_ms=40), task("buy", horizon_ms=40)
SPEC = spec_of(CLICK, BUY)
CLICKED = read(show(1, "f"), act("click", 3, "c"))
NOTHING = (0.0, None, None, None)


def shown(outcome: Outcome, task_name: str, request_id: str = F_A) -> tuple[Any, ...]:
    return label(outcome, request_id, task_name)[:4]


# Clicks


def test_the_click_that_made_a_positive_is_its_label() -> None:
    outcome = outcome_of(SPEC, CLICKED)
    assert label(outcome, F_A) == (1.0, 5, "c", 3, True)
    assert label(outcome, "f") == (1.0, 1, "c", 3, True)


def test_no_other_click_is_its_label() -> None:
    spec = spec_of(dataclasses.replace(CLICK, value="sum"))
    clicks = read(act("click", 3, "1", value=2.0), act("click", 4, "2", value=3.0))
    outcome = outcome_of(spec, show(1, "f"), clicks)
    assert shown(outcome, "click", "f") == (5.0, 1, "1", 3)
    assert shown(outcome, "click") == (2.0, 5, "1", 3)


def test_each_task_of_its_stream_that_names_the_target_takes_it_within_its_horizon() -> None:
    def named(name: str, horizon_ms: int, *domains: str, stream: str = "click") -> Task:
        return dataclasses.replace(task(name, horizon_ms, domains=domains), stream=stream)

    spec = spec_of(
        named("long", 40, "feed"),
        named("edge", 2, "search"),
        named("short", 1, "search"),
        named("other", 40, "search", stream="tap"),
    )
    outcome = outcome_of(spec, CLICKED)
    assert shown(outcome, "edge") == (1.0, 5, "c", 3)
    assert shown(outcome, "short") == NOTHING
    assert shown(outcome, "other") == NOTHING
    # The positive is of the target domain, which `long` does not name: missing, not 0.
    assert shown(outcome, "long") == (None, None, None, None)
    # What the positive received is not counted; `short` found no sample.
    assert {name for name in outcome.counters if "sample" in name} == {"no_sample/short"}


def test_negatives_stay_0() -> None:
    titles = [shelve(item, 0, "red") for item in "ab"]
    outcome = outcome_of(SPEC, *titles, show(1, "f", "ab"), act("click", 3, "c"), act("buy", 4))
    [request] = pseudo_requests(outcome)
    assert request["candidates"]["item_id"] == ["a", "b"]
    for name in ("click", "buy"):
        assert request["candidates"]["labels"][name]["value"] == [1.0, 0.0]
    # Bought though it was not clicked: a negative stays 0 and receives nothing.
    bought = act("buy", 4, item="b")
    outcome = outcome_of(SPEC, *titles, show(1, "f", "ab"), act("click", 3, "c"), bought)
    assert label(outcome, F_A, "buy", "b")[:4] == NOTHING


def test_a_retraction_after_the_cut_withdraws_the_click() -> None:
    # Open until 1 + 40 + 10 = 51; retracted at 31 it is too late for `retracted`.
    spec = spec_of(task("click", 40, 10), BUY)
    outcome = outcome_of(spec, CLICKED, refund(31, event_id="c"))
    assert shown(outcome, "click") == (1.0, 5, "c", 3)
    assert revisions(outcome) == [
        (10, "f", "click", 0.0, True, False),
        (10, F_A, "click", 0.0, True, False),
    ]


def test_a_retraction_of_a_closed_label_is_counted_once() -> None:
    outcome = outcome_of(SPEC, CLICKED, refund(42, event_id="c"))
    assert revisions(outcome) == []
    assert outcome.counters["closed"] == 1


# Conversions


def test_a_conversion_of_any_domain_goes_to_the_positive() -> None:
    # Without a domain it counts as foreign; the target's own finds no native sample either.
    for scenario in ("front", "mall", "find", None):
        outcome = outcome_of(SPEC, CLICKED, act("buy", 5, scenario=scenario))
        assert label(outcome, F_A, "buy") == (1.0, 5, "e", 5, True)
        assert outcome.counters["no_sample/buy"] == 0
    # Its own domain has it too.
    outcome = outcome_of(SPEC, CLICKED, act("buy", 5))
    assert shown(outcome, "buy", "f") == (1.0, 1, "e", 5)


def test_a_conversion_that_a_native_target_sample_received_does_not_go_there() -> None:
    # s is shown after the click and before the purchase, exposed or not.
    for exposed, tier in ((True, 3), (False, 4)):
        spec = spec_of(CLICK, BUY, target=dataclasses.replace(TARGET, unexposed=1))
        items = [{"item_id": "a", "position": 0, "exposed": exposed}]
        outcome = outcome_of(spec, CLICKED, show(4, "s", items, scenario="find"), act("buy", 5))
        assert shown(outcome, "buy", "s") == (1.0, tier, "e", 5)
        assert shown(outcome, "buy") == NOTHING
    # So by rule 2.
    target = show(4, "s", scenario="find")
    outcome = outcome_of(SPEC, CLICKED, target, act("buy", 5, scenario="find"))
    assert shown(outcome, "buy", "s") == (1.0, 1, "e", 5)
    assert shown(outcome, "buy") == NOTHING


def test_without_hierarchy_the_fourth_tier_still_is() -> None:
    spec = spec_of(CLICK, BUY, target=FLAT)
    target = show(4, "s", scenario="find")
    outcome = outcome_of(spec, CLICKED, target, act("buy", 5))
    assert shown(outcome, "buy", "s") == NOTHING
    assert shown(outcome, "buy") == (1.0, 5, "e", 5)


def test_a_conversion_comes_at_or_after_the_click_and_within_the_horizon_of_the_source() -> None:
    spec = spec_of(CLICK, task("buy", horizon_ms=20))
    for time_ms, value in ((2, 0.0), (3, 1.0), (21, 1.0), (22, 0.0)):
        outcome = outcome_of(spec, CLICKED, act("buy", time_ms, scenario="mall"))
        assert label(outcome, F_A, "buy")[0] == value


def test_a_conversion_goes_to_the_latest_positive_of_its_user_and_item() -> None:
    both = [act("click", 5, request, request_id=request) for request in "fg"]
    bought = act("buy", 6, scenario="mall")
    outcome = outcome_of(SPEC, show(1, "f"), show(2, "g"), *both, bought)
    assert (shown(outcome, "buy"), shown(outcome, "buy", G_A)) == (NOTHING, (1.0, 5, "e", 6))
    # By source time, not by click; of one millisecond the smaller id: 2a… before 7b….
    for f_ms, g_ms, expected in ((2, 1, F_A), (1, 1, G_A)):
        outcome = outcome_of(SPEC, show(f_ms, "f"), show(g_ms, "g"), *both, bought)
        assert shown(outcome, "buy", expected) == (1.0, 5, "e", 6)
    other = [
        act("buy", 6, "1", user="v", scenario="mall"),
        act("buy", 6, "2", item="b", scenario="mall"),
    ]
    assert shown(outcome_of(SPEC, CLICKED, *other), "buy") == NOTHING


def test_a_conversion_goes_to_a_positive_whose_click_stands_at_its_time() -> None:
    # Retracted at 35, after the cut 30: 34 still stands, 35 does not.
    spec = spec_of(task("click", 40, 10), task("buy", 40, 10))
    for time_ms, expected in ((34, [F_A]), (35, [])):
        bought = act("buy", time_ms, scenario="mall")
        outcome = outcome_of(spec, CLICKED, refund(35, event_id="c"), bought)
        credited = [one[1] for one in revisions(outcome) if one[2] == "buy" and one[1] == F_A]
        assert credited == expected
        assert outcome.counters["no_sample/buy"] == 1 - len(expected)


def test_an_earlier_positive_whose_click_stands_takes_the_place_of_one_retracted() -> None:
    spec = spec_of(task("click", 40, 10), task("buy", 40, 10))
    both = [act("click", 5, request, request_id=request) for request in "fg"]
    events = read(show(1, "f"), show(2, "g"), *both, refund(33, event_id="g"))
    outcome = outcome_of(spec, events, act("buy", 34, scenario="mall"))
    assert [one[1] for one in revisions(outcome) if one[2] == "buy"] == [F_A]


def test_a_conversion_after_the_cut_is_a_revision() -> None:
    # Settled at 30 it is in the window, at 40 it is not.
    outcome = outcome_of(SPEC, CLICKED, act("buy", 30, scenario="mall"))
    assert (shown(outcome, "buy"), revisions(outcome)) == ((1.0, 5, "e", 30), [])
    outcome = outcome_of(SPEC, CLICKED, act("buy", 31, scenario="mall"))
    assert shown(outcome, "buy") == NOTHING
    assert revisions(outcome) == [(10, F_A, "buy", 1.0, False, False)]
    [revision] = outcome.windows[10].revisions
    assert (revision["window_start_ms"], revision["request_time_ms"], revision["new_tier"]) == (
        0,
        1,
        5,
    )


def test_a_late_conversion_is_a_late_revision_while_the_label_is_open_else_closed() -> None:
    # Open until 41.
    bought = act("buy", 5, scenario="mall")
    outcome = outcome_of(SPEC, CLICKED, Seal(40), bought)
    assert revisions(outcome) == [(20, F_A, "buy", 1.0, False, True)]
    outcome = outcome_of(spec_of(CLICK, BUY, task("pay", 100)), CLICKED, Seal(50), bought)
    assert revisions(outcome) == []
    assert (outcome.counters["closed"], outcome.counters["no_sample/buy"]) == (1, 0)


def test_what_is_closed_in_both_domains_counts_once() -> None:
    outcome = outcome_of(spec_of(CLICK, BUY, task("pay", 100)), CLICKED, Seal(50), act("buy", 5))
    assert outcome.counters["closed"] == 1


def test_a_conversion_keeps_waiting_until_a_positive_is_made() -> None:
    # g of window [10, 20) makes its positive at 40; f's at 30. A purchase of 12 was settled at 20
    # and goes to f's at 30, the only one there is then; so it stays.
    clicks = [act("click", 11, request, request_id=request) for request in "fg"]
    bought = act("buy", 12, scenario="mall")
    outcome = outcome_of(SPEC, show(9, "f"), show(10, "g"), *clicks, bought)
    assert (shown(outcome, "buy"), shown(outcome, "buy", G_A)) == ((1.0, 5, "e", 12), NOTHING)


def test_a_conversion_retracted_before_its_positive_is_made_is_withdrawn_with_it() -> None:
    # Settled at 10, retracted at 20, credited at 30.
    outcome = outcome_of(SPEC, CLICKED, act("buy", 5, scenario="mall"), refund(15, "buy"))
    assert shown(outcome, "buy") == NOTHING
    assert revisions(outcome) == []
    # A withdrawn credit counts as received.
    assert outcome.counters["no_sample/buy"] == 0


def test_a_conversion_retracted_after_the_cut_is_a_revision() -> None:
    spec = spec_of(CLICK, task("buy", 40, 10))
    outcome = outcome_of(spec, CLICKED, act("buy", 5, scenario="mall"), refund(35, "buy"))
    assert shown(outcome, "buy") == (1.0, 5, "e", 5)
    assert revisions(outcome) == [(10, F_A, "buy", 0.0, True, False)]


def test_several_conversions_make_the_value_of_the_positive_as_of_any_other() -> None:
    values: dict[LabelValue, tuple[object, ...]] = {
        "sum": (5.0, 5, "1", 5),
        "max": (3.0, 5, "2", 6),
        "last": (3.0, 5, "2", 6),
    }
    bought = [act("buy", 5, "1", value=2.0), act("buy", 6, "2", value=3.0)]
    for value, expected in values.items():
        spec = spec_of(CLICK, task("buy", 40, value=value))
        assert shown(outcome_of(spec, CLICKED, *bought), "buy") == expected


def test_a_conversion_task_that_does_not_name_the_target_has_no_fourth_tier() -> None:
    spec = spec_of(CLICK, task("buy", 40, domains=("feed",)))
    outcome = outcome_of(spec, CLICKED, act("buy", 5))
    assert shown(outcome, "buy") == (None, None, None, None)
    assert shown(outcome, "buy", "f") == (1.0, 1, "e", 5)


def test_rules_2_and_3_never_see_pseudo_samples() -> None:
    # The purchase of the target domain names the pseudo-request: it gets tier searchified still.
    named = act("buy", 35, scenario="find", request_id=F_A)
    outcome = outcome_of(SPEC, CLICKED, named)
    assert [one["new_tier"] for one in outcome.windows[10].revisions] == [5]
    # And a click of the target domain finds nothing.
    named = act("click", 35, "n", scenario="find", request_id=F_A)
    outcome = outcome_of(SPEC, CLICKED, named)
    assert (revisions(outcome), outcome.counters["no_sample/click"]) == ([], 1)
