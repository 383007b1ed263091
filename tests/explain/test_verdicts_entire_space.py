"""Verdicts worked out by hand where search is the target domain: rules 3, 9 and 10.

Windows of 10 ms are sealed 20 ms after their end, [0, 10) at 30; everything counts for 40 ms.
"""

from dataclasses import replace

import pytest

from pipelines.explain.explain import explain
from pipelines.explain.text import as_text
from schemas.spec import Searchify, Target
from tests.explain.cases import only, schedule_of, story_of, task_of, verdicts
from tests.explain.stored import everything
from tests.oracle import Event, Seal
from tests.oracle.examples import act, mixed, product, read, refund, shelve, show, task
from tests.pipeline.in_process import run_steps

SEARCHIFY = Searchify(negatives=2, floor=0.25, query_memory=1)
TARGET = Target("search", unexposed=1, searchify=SEARCHIFY)
CLICK, BUY = task("click", horizon_ms=40), task("buy", horizon_ms=40)
SPEC = product(CLICK, BUY, maturity_ms=20, target=TARGET)
F_A, G_A = "7b2e7dfa4503a6e2", "2a3d7a0ddedb6551"
"""The ids of what is made of item a of requests f and g."""
A, B = mixed("a"), mixed("", "a")
"""Item a exposed, and item a unexposed but kept."""
CLICKED = read(show(1, "f"), act("click", 3, "c"))


def find(time_ms: int, request_id: str, items=A, **fields: object) -> Event:
    return show(time_ms, request_id, items, scenario="find", **fields)


def test_a_click_of_the_feed_credits_an_unexposed_sample_of_the_search() -> None:
    story = story_of(SPEC, find(2, "old", B), find(3, "new", B), act("click", 5), request="new")
    assert (only(story).outcome, only(story).reason) == ("shown", "unexposed")
    assert only(story).text == (
        "it is foreign to 'search', being of domain 'feed'; request 'new' is the latest of "
        "'search' that kept it unexposed, and none exposed it (rule 3)"
    )
    assert (story.sample.origin, story.sample.probability) == ("unexposed", 1.0)
    older = story_of(SPEC, find(2, "old", B), find(3, "new", B), act("click", 5), request="old")
    assert verdicts(older) == {"e": ("lost", "other_latest")}


def test_an_exposed_sample_comes_before_an_unexposed_one() -> None:
    requests = read(find(2, "shown", A), find(3, "hidden", B))
    story = story_of(SPEC, requests, act("click", 5), request="hidden")
    assert verdicts(story) == {"e": ("lost", "other_exposed")}
    assert "it went to request 'shown'" in only(story).text


def test_a_click_of_the_search_itself_credits_exposed_samples_only() -> None:
    story = story_of(SPEC, find(2, "s", B), act("click", 5, scenario="find"), request="s")
    assert verdicts(story) == {"e": ("lost", "not_exposed")}


def test_a_purchase_in_the_search_may_go_to_an_unexposed_sample() -> None:
    story = story_of(SPEC, find(2, "s", B), act("buy", 5, scenario="find"), request="s")
    assert verdicts(story, "buy") == {"e": ("shown", "unexposed")}
    assert only(story, "buy").text.startswith("no request of its own domain exposed the item;")


def test_a_purchase_that_its_own_domain_places_does_not() -> None:
    requests = read(find(2, "s", B), find(3, "t", A))
    story = story_of(SPEC, requests, act("buy", 5, scenario="find"), request="s")
    assert verdicts(story, "buy") == {"e": ("lost", "other_exposed")}


def test_a_foreign_purchase_goes_to_the_clicked_sample() -> None:
    requests = read(find(1, "s"), find(2, "t"))
    clicked = act("click", 4, "c", scenario="find", request_id="s")
    events = [requests, clicked, act("buy", 5, "b")]
    first = story_of(SPEC, *events, request="s")
    assert verdicts(first, "buy") == {"b": ("shown", "clicked")}
    assert "exposed the item and was clicked (click 'c') (rule 3)" in only(first, "buy").text
    other = story_of(SPEC, *events, request="t")
    assert verdicts(other, "buy") == {"b": ("lost", "other_clicked")}


def test_an_event_may_count_in_two_domains() -> None:
    story = story_of(SPEC, show(1, "f"), find(2, "s"), act("click", 5), request="s")
    assert only(story).text.endswith("(rule 3); it also credits request 'f' by in_domain")


def test_with_rule_3_off_a_foreign_click_credits_nothing_in_the_search() -> None:
    spec = product(CLICK, maturity_ms=20, target=replace(TARGET, hierarchical=False))
    story = story_of(spec, find(2, "s"), act("click", 5), request="s")
    assert verdicts(story) == {"e": ("lost", "other_domain")}
    assert "`hierarchical` is off" in only(story).text


# Requests made of clicks


def test_a_positive_shows_the_click_that_made_it() -> None:
    story = story_of(SPEC, CLICKED, request=F_A)
    assert verdicts(story) == {"c": ("shown", "searchified")}
    made = story.made
    assert made is not None and made.click is not None
    assert (made.source_request, made.positive, made.query_path) == ("f", "a", "none")
    assert (made.click.event_id, made.click.time_ms, made.click.request_id) == ("c", 3, "f")
    assert made.likeness is None


def test_the_fourth_tier_credits_a_purchase_that_no_native_sample_received() -> None:
    story = story_of(SPEC, CLICKED, act("buy", 9, "b", scenario="mall"), request=F_A)
    assert verdicts(story, "buy") == {"b": ("shown", "searchified")}
    assert only(story, "buy").text.startswith("no native sample of the target domain received it")


def test_a_purchase_that_a_native_sample_received_is_not_of_the_fourth_tier() -> None:
    """The search showed the item after the click and before the purchase."""
    events = [CLICKED, find(5, "s"), act("buy", 9, "b", scenario="mall")]
    story = story_of(SPEC, *events, request=F_A)
    assert verdicts(story, "buy") == {"b": ("lost", "received")}
    assert "request 's' of 1970-01-01 00:00:00.005 received it by exposed" in (
        only(story, "buy").text
    )


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (act("buy", 0, "b", scenario="mall"), "before_request"),
        (act("buy", 2, "b", scenario="mall"), "before_click"),
        (act("buy", 41, "b", scenario="mall"), "searchified"),
        (act("buy", 42, "b", scenario="mall"), "outside_horizon"),
    ],
)
def test_the_fourth_tier_has_its_edges(event: Event, reason: str) -> None:
    story = story_of(SPEC, CLICKED, event, request=F_A)
    assert only(story, "buy").reason == reason


def test_the_fourth_tier_ends_with_the_click() -> None:
    """The click of 3, retracted at 35, made a request at 30; it stands at 34 and not at 36."""
    early, past = act("buy", 34, "1", scenario="mall"), act("buy", 36, "2", scenario="mall")
    story = story_of(SPEC, CLICKED, refund(35, event_id="c"), early, past, request=F_A)
    told = verdicts(story, "buy")
    assert told == {"1": ("shown", "searchified"), "2": ("lost", "click_retracted")}
    assert verdicts(story) == {"c": ("lost", "retracted")}


def test_a_purchase_that_was_retracted_before_the_request_was_made_is_shown_nowhere() -> None:
    """Retracted at 15, which the cut of 20 knows; the request is made at 30."""
    bought = read(act("buy", 9, "b", scenario="mall"), refund(15, "buy", "b"))
    story = story_of(SPEC, CLICKED, bought, request=F_A)
    assert verdicts(story, "buy") == {"b": ("lost", "retracted")}
    assert [moment.label.value for moment in task_of(story, "buy").stored] == [0.0]


def test_the_fourth_tier_takes_the_latest_request_made() -> None:
    requests = read(show(1, "f"), show(2, "g"))
    clicks = read(act("click", 3, "1", request_id="f"), act("click", 4, "2", request_id="g"))
    bought = act("buy", 9, "b", scenario="mall")
    story = story_of(SPEC, requests, clicks, bought, request=F_A)
    assert verdicts(story, "buy") == {"b": ("lost", "other_latest")}
    assert verdicts(story) == {"1": ("shown", "searchified"), "2": ("lost", "other_source")}
    assert verdicts(story_of(SPEC, requests, clicks, bought, request=G_A), "buy") == {
        "b": ("shown", "searchified")
    }


def test_of_requests_made_at_one_time_the_smaller_id_takes_the_purchase() -> None:
    """That of g is smaller, 2a… before 7b…, though f was clicked first."""
    requests = read(show(1, "f"), show(1, "g", row=1))
    clicks = read(act("click", 3, "1", request_id="f"), act("click", 4, "2", request_id="g"))
    bought = act("buy", 9, "b", scenario="mall")
    for request, verdict in ((F_A, ("lost", "other_latest")), (G_A, ("shown", "searchified"))):
        story = story_of(SPEC, requests, clicks, bought, request=request)
        assert verdicts(story, "buy") == {"b": verdict}


def test_the_fourth_tier_settles_with_the_first_request_made() -> None:
    """f of [0, 10) is sealed at 30, g of [10, 20) at 40: the purchase of 13 goes to f at 30."""
    requests = read(show(1, "f"), show(11, "g"))
    clicks = read(act("click", 3, "1", request_id="f"), act("click", 12, "2", request_id="g"))
    bought = act("buy", 13, "b", scenario="mall")
    story = story_of(SPEC, requests, clicks, bought, request=G_A)
    assert verdicts(story, "buy") == {"b": ("lost", "settled_before")}


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        ([act("click", 4, "x")], "repeat"),
        ([act("click", 4, "x", scenario="find")], "not_foreign"),
        ([act("click", 4, "x", scenario="mall")], "unlinked"),
        ([act("click", 31, "x")], "after_cut"),
        ([act("click", 4, "x"), refund(5, event_id="x")], "retracted"),
        ([find(4, "s"), act("click", 5, "x")], "native"),
        ([act("click", 50, "x")], "outside_horizon"),
    ],
)
def test_other_clicks_do_not_count_for_a_positive(events: list[Event], reason: str) -> None:
    story = story_of(SPEC, CLICKED, *events, request=F_A)
    assert verdicts(story) == {"c": ("shown", "searchified"), "x": ("lost", reason)}


def test_the_query_of_the_path_own_is_traced_to_its_request() -> None:
    searched = [find(2, "old", query="red"), find(3, "s", query="hat")]
    clicked = read(show(5, "f"), act("click", 6, "c"))
    spec = product(CLICK, maturity_ms=20, target=replace(TARGET, hierarchical=False))
    story = story_of(spec, *searched, clicked, request=F_A)
    assert story.made is not None
    assert (story.sample.query, story.made.query_path) == ("hat", "own")
    assert story.made.query_request == "s"
    assert "query by path own, score 1: request 's' had shown it" in as_text(story)


def test_a_negative_stays_0_and_tells_its_similarity() -> None:
    """ "red hat" and "red": 4 common grams of 8 and 4, 4 / sqrt(32) = 0.707107."""
    items = [shelve("a", 0, "red hat"), shelve("b", 0, "red")]
    shown = read(show(1, "f", "ab"), act("click", 3, "c"), act("buy", 8, "x", item="b"))
    story = story_of(SPEC, *items, shown, request=F_A, item="b")
    assert verdicts(story, "buy") == {"x": ("lost", "negative")}
    assert story.made is not None and story.made.likeness is not None
    assert round(story.made.likeness.similarity or 0, 6) == 0.707107
    assert "similarity to 'a': 0.707107 (floor 0.25; 'red' and 'red hat')" in as_text(story)


def test_a_negative_with_a_standing_click_is_told() -> None:
    """The source showed a and b; the window without the click on b has b as a negative."""
    items = [shelve("a", 0, "red hat"), shelve("b", 0, "red")]
    base = [*items, show(1, "f", "ab"), act("click", 3, "c")]
    schedule = schedule_of(*base)
    clicked = schedule_of(*base, act("click", 4, "x", item="b"))
    [(stored, _)] = [
        one
        for one in everything(SPEC, schedule, run_steps(SPEC, schedule))
        if one[0].sample.origin == "searchified_negative"
    ]
    _, events = next(everything(SPEC, clicked, run_steps(SPEC, clicked)))
    assert explain(stored, SPEC, events).problems == (
        "the window shows it as a negative; over these events click 'x' stands on it at the cut "
        "of its source (rule 10)",
    )


def test_a_request_that_no_click_makes_is_told() -> None:
    schedule = schedule_of(CLICKED)
    [(stored, events)] = [
        one
        for one in everything(SPEC, schedule, run_steps(SPEC, schedule))
        if one[0].sample.origin == "searchified_positive"
    ]
    events.feedback.clear()
    assert explain(stored, SPEC, events).problems == (
        "the window shows this sample; the rules over these events give none: no click on item "
        "'a' makes a request of 'f' (there is none)",
    )


def test_a_foreign_click_read_after_the_cut_of_its_source_makes_nothing() -> None:
    clicks = [act("click", 3, "c"), Seal(30), act("click", 4, "x")]
    story = story_of(SPEC, show(1, "f"), *clicks, request=F_A)
    assert verdicts(story) == {"c": ("shown", "searchified"), "x": ("lost", "after_cut")}
    assert task_of(story).stored[0].label.event_id == "c"
