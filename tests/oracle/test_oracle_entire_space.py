"""Rule 3, by hand: the target domain is search (scenario find), feed and shop are foreign.

Tiers: 0 `direct`, 1 `in_domain`, 2 `clicked`, 3 `exposed`, 4 `unexposed`.
"""

import dataclasses

import pytest

from schemas.spec import Spec, Target
from tests.oracle import Event, Outcome, Seal
from tests.oracle.examples import (
    act,
    label,
    mixed,
    outcome_of,
    product,
    read,
    refund,
    revisions,
    show,
    task,
)

TARGET = Target("search", unexposed=1)
TASKS = (task("click", horizon_ms=40), task("buy", horizon_ms=40))
SPEC = product(*TASKS, maturity_ms=100, target=TARGET)
"""Windows are sealed after everything here has happened."""
A, B = mixed("a"), mixed("", "a")
"""Item a exposed, and item a unexposed but kept."""


def find(time_ms: int, request_id: str, items: list[dict[str, object]]) -> Event:
    return show(time_ms, request_id, items, scenario="find")


def tiers(outcome: Outcome, task_name: str, *request_ids: str) -> list[int | None]:
    return [label(outcome, request_id, task_name)[1] for request_id in request_ids]


def test_a_foreign_click_goes_to_its_own_domain_and_to_the_latest_exposed_of_the_target() -> None:
    requests = read(show(1, "f"), find(2, "old", A), find(3, "new", A), find(4, "hidden", B))
    outcome = outcome_of(SPEC, requests, act("click", 5))
    assert tiers(outcome, "click", "f", "old", "new", "hidden") == [1, None, 3, None]
    assert label(outcome, "new") == (1.0, 3, "e", 5, False)


def test_a_foreign_click_goes_to_the_latest_unexposed_where_nothing_was_exposed() -> None:
    requests = read(find(2, "old", B), find(3, "new", B))
    outcome = outcome_of(SPEC, requests, act("click", 5))
    assert tiers(outcome, "click", "old", "new") == [None, 4]


def test_a_foreign_conversion_prefers_the_clicked_then_the_exposed_then_the_unexposed() -> None:
    requests = [find(1, "one", A), find(2, "two", A), find(3, "three", B)]
    clicked = act("click", 4, "c", scenario="find", request_id="one")
    bought = act("buy", 5)
    names = ("one", "two", "three")
    assert tiers(outcome_of(SPEC, *requests, clicked, bought), "buy", *names) == [2, None, None]
    assert tiers(outcome_of(SPEC, *requests, bought), "buy", *names) == [None, 3, None]
    assert tiers(outcome_of(SPEC, requests[2], bought), "buy", "three") == [4]


def test_clicked_means_clicked_in_the_target_domain_at_the_time_of_the_conversion() -> None:
    requests = read(find(1, "one", A), find(2, "two", A))
    clicked = act("click", 5, "c", scenario="find", request_id="one")
    for time_ms, expected in ((4, [None, 3]), (5, [2, None]), (7, [2, None]), (8, [None, 3])):
        outcome = outcome_of(SPEC, requests, clicked, refund(8, event_id="c"), act("buy", time_ms))
        assert tiers(outcome, "buy", "one", "two") == expected
    # A foreign click that rule 3 credits raises no flag.
    foreign = act("click", 3, "c")
    outcome = outcome_of(SPEC, requests, foreign, find(4, "three", A), act("buy", 5))
    assert tiers(outcome, "click", "one", "two", "three") == [None, 3, None]
    assert tiers(outcome, "buy", "one", "two", "three") == [None, None, 3]


def test_both_ends_of_the_horizon_belong_to_it() -> None:
    spec = product(task("click", horizon_ms=20), maturity_ms=100, target=TARGET)
    for items, tier in ((A, 3), (B, 4)):
        for time_ms, expected in ((2, None), (3, tier), (23, tier), (24, None)):
            outcome = outcome_of(spec, find(3, "r", items), act("click", time_ms))
            assert tiers(outcome, "click", "r") == [expected]


def test_of_requests_of_one_millisecond_the_smaller_id_is_the_latest() -> None:
    for items, tier in ((A, 3), (B, 4)):
        requests = read(find(1, "a", items), find(2, "é", items), find(2, "z", items))
        outcome = outcome_of(SPEC, requests, act("click", 2))
        assert tiers(outcome, "click", "a", "é", "z") == [None, None, tier]


def test_a_named_request_gives_no_preference_in_the_target_domain() -> None:
    requests = read(find(1, "one", A), find(2, "two", A))
    outcome = outcome_of(SPEC, requests, act("click", 3, request_id="one"))
    assert tiers(outcome, "click", "one", "two") == [None, 3]


def test_feedback_without_a_domain_is_foreign() -> None:
    outcome = outcome_of(SPEC, find(1, "r", A), act("click", 3, scenario=None))
    assert tiers(outcome, "click", "r") == [3]
    # With a named request it has that one's domain.
    outcome = outcome_of(SPEC, find(1, "r", A), act("click", 3, scenario=None, request_id="r"))
    assert tiers(outcome, "click", "r") == [0]


def test_a_target_conversion_that_rule_2_cannot_place_goes_to_the_latest_unexposed() -> None:
    requests = read(find(1, "one", B), find(2, "two", B), show(3, "f"))
    outcome = outcome_of(SPEC, requests, act("buy", 5, scenario="find"))
    assert tiers(outcome, "buy", "one", "two", "f") == [None, 4, None]
    # A request id names exposed samples only.
    outcome = outcome_of(SPEC, requests, act("buy", 5, scenario="find", request_id="one"))
    assert tiers(outcome, "buy", "one", "two", "f") == [None, 4, None]
    # Rule 2 places it.
    outcome = outcome_of(SPEC, requests, find(0, "shown", A), act("buy", 5, scenario="find"))
    assert tiers(outcome, "buy", "one", "two", "shown") == [None, None, 1]


def test_a_target_click_never_goes_to_an_unexposed_sample() -> None:
    for request_id in (None, "r"):
        clicked = act("click", 5, scenario="find", request_id=request_id)
        outcome = outcome_of(SPEC, find(1, "r", B), clicked)
        assert tiers(outcome, "click", "r") == [None]
        assert outcome.counters["no_sample/click"] == 1


def test_a_journey_through_three_domains_credits_each_event_where_it_belongs() -> None:
    # Seen in feed, searched, seen in the shop and bought there.
    requests = read(show(1, "f"), find(4, "s", A), show(6, "m", scenario="mall"))
    clicks = read(
        act("click", 2, "1"),
        act("click", 5, "2", scenario="find"),
        act("click", 7, "3", scenario="mall"),
    )
    outcome = outcome_of(SPEC, requests, clicks, act("buy", 8, scenario="mall"))
    # Click 1 comes before the search; click 3 is foreign: s already has the earlier click 2.
    assert label(outcome, "f") == (1.0, 1, "1", 2, False)
    assert label(outcome, "s") == (1.0, 1, "2", 5, False)
    assert label(outcome, "m") == (1.0, 1, "3", 7, False)
    assert tiers(outcome, "buy", "f", "s", "m") == [None, 2, 1]


def test_without_hierarchy_rule_3_places_nothing() -> None:
    spec = dataclasses.replace(SPEC, target=dataclasses.replace(TARGET, hierarchical=False))
    requests = read(show(1, "f"), find(2, "r", A), find(3, "hidden", B))
    outcome = outcome_of(spec, requests, act("click", 5), act("buy", 5))
    for task_name in ("click", "buy"):
        assert tiers(outcome, task_name, "f", "r", "hidden") == [1, None, None]
    outcome = outcome_of(spec, find(3, "hidden", B), act("buy", 5, scenario="find"))
    assert tiers(outcome, "buy", "hidden") == [None]


def only(*domains: str) -> Spec:
    """Clicks for a task that names these domains."""
    return product(task("click", domains=domains), maturity_ms=100, target=TARGET)


def test_each_rule_places_for_tasks_that_name_its_domain() -> None:
    events = read(show(1, "f"), find(2, "r", A), act("click", 3))
    for domain, expected in (("search", [None, 3]), ("feed", [1, None]), ("shop", [None, None])):
        assert tiers(outcome_of(only(domain), events), "click", "f", "r") == expected


def test_an_event_is_of_a_task_that_names_its_own_domain_or_the_targets_if_it_is_foreign() -> None:
    # Nothing was shown: what is an (event, task) counts as `no_sample`.
    cases = {
        ("feed", "front"): 1,
        ("search", "front"): 1,
        ("shop", "front"): 0,
        ("feed", "find"): 0,
        ("search", "find"): 1,
        ("search", None): 1,
        ("feed", None): 0,
    }
    for (domain, scenario), expected in cases.items():
        outcome = outcome_of(only(domain), act("click", 3, scenario=scenario))
        assert outcome.counters["no_sample/click"] == expected, (domain, scenario)


def test_without_hierarchy_a_foreign_event_is_of_tasks_that_name_its_own_domain_only() -> None:
    off = Target("search", hierarchical=False)
    for domain, scenario, expected in (("search", "front", 0), ("feed", "front", 1)):
        spec = dataclasses.replace(only(domain), target=off)
        outcome = outcome_of(spec, act("click", 3, scenario=scenario))
        assert outcome.counters["no_sample/click"] == expected
    # Without any domain that it may credit it is of every task, so that it does not vanish.
    outcome = outcome_of(
        dataclasses.replace(only("feed"), target=off), act("click", 3, scenario=None)
    )
    assert outcome.counters["no_sample/click"] == 1


def test_what_no_sample_received_is_followed_by_one_of_its_own_or_the_target_domain() -> None:
    # t_e + length = 13: decided at cut 20.
    spec = product(target=TARGET)
    followed = [
        (show(5), "before_request"),
        (find(5, "r", A), "before_request"),
        (find(5, "r", B), "before_request"),
        (show(5, scenario="mall"), "no_sample"),
        (show(5, items=B), "no_sample"),
        (find(20, "r", A), "before_request"),
        (find(21, "r", A), "no_sample"),
    ]
    for request, reason in followed:
        assert outcome_of(spec, act("click", 3), request).counters[f"{reason}/click"] == 1


def test_an_event_that_either_rule_received_is_not_counted() -> None:
    for request in (show(1), find(1, "r", A), find(1, "r", B)):
        outcome = outcome_of(SPEC, request, act("click", 3), act("buy", 3))
        assert not [name for name in outcome.counters if "sample" in name or "before" in name]


def test_late_feedback_is_closed_once_though_both_domains_received_it() -> None:
    # Both labels close at 21 and are published at 10: read at last cut 30 both are closed.
    outcome = outcome_of(
        product(target=TARGET), read(show(1, "f"), find(1, "r", A)), Seal(30), act("click", 15)
    )
    assert outcome.counters["closed"] == 1
    assert revisions(outcome) == []
    assert "no_sample/click" not in outcome.counters


@pytest.mark.parametrize(("time_ms", "expected"), [(20, 0), (21, 1)])
def test_an_event_exactly_at_a_cut_is_settled_by_it(time_ms: int, expected: int) -> None:
    # Length 10, maturity 10: window [0, 10) is sealed at 20.
    spec = product(task("click", horizon_ms=40), maturity_ms=10, target=TARGET)
    outcome = outcome_of(spec, find(1, "r", A), act("click", time_ms))
    assert len(revisions(outcome)) == expected
    assert label(outcome, "r")[0] == 1.0 - expected


def test_a_retraction_withdraws_the_credits_of_both_domains() -> None:
    # M = 30. Retracted at 10 the window never shows it; at 11 it takes a revision each.
    tasks = task("click", horizon_ms=20, retraction_horizon_ms=10)
    events = read(show(1, "f"), find(1, "r", A), act("click", 5))
    outcome = outcome_of(product(tasks, target=TARGET), events, refund(10))
    assert tiers(outcome, "click", "f", "r") == [None, None]
    assert revisions(outcome) == []
    outcome = outcome_of(product(tasks, target=TARGET), events, refund(11))
    assert tiers(outcome, "click", "f", "r") == [1, 3]
    assert revisions(outcome) == [
        (10, "f", "click", 0.0, True, False),
        (10, "r", "click", 0.0, True, False),
    ]


def test_a_conversion_stays_where_it_was_credited_though_the_click_is_retracted_later() -> None:
    requests = read(find(1, "one", A), find(2, "two", A))
    clicked = act("click", 3, "c", scenario="find", request_id="one")
    outcome = outcome_of(SPEC, requests, clicked, act("buy", 5), refund(6, event_id="c"))
    assert tiers(outcome, "buy", "one", "two") == [2, None]


def test_a_label_of_an_unexposed_sample_is_revised_like_any_other() -> None:
    spec = product(task("click", horizon_ms=20), target=TARGET)
    outcome = outcome_of(spec, find(1, "r", B), act("click", 15))
    assert label(outcome, "r") == (0.0, None, None, None, True)
    assert revisions(outcome) == [(10, "r", "click", 1.0, False, False)]
