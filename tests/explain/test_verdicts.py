"""Verdicts worked out by hand, without a target domain.

Windows of 10 ms, sealed at their end unless a test says otherwise; a click counts for 20 ms, a
purchase for 40. The feed has the scenarios front and side.
"""

from dataclasses import replace

import pytest

from pipelines.explain.events import UNREAD
from pipelines.explain.explain import explain
from pipelines.explain.text import as_text
from schemas.windows.sample import Label
from tests.explain.cases import only, schedule_of, story_of, task_of, verdicts
from tests.explain.reading import events_by_user
from tests.explain.stored import everything
from tests.oracle import Seal
from tests.oracle.examples import act, product, read, refund, show, task
from tests.pipeline.in_process import run_steps

CLICK, BUY = task("click"), task("buy", horizon_ms=40)
SPEC = product(CLICK, BUY)
OPEN_SPEC = product(task("click", retraction_horizon_ms=30), BUY)


def test_the_first_of_two_clicks_is_shown() -> None:
    story = story_of(SPEC, show(1), act("click", 4, "2"), act("click", 3, "1"))
    assert verdicts(story) == {"1": ("shown", "in_domain"), "2": ("lost", "not_first")}
    [first, second] = task_of(story).considered
    assert first.text == (
        "request 'r' is the latest of domain 'feed' that exposed the item (rule 2)"
    )
    assert "event '1' of 1970-01-01 00:00:00.003 (rule 4)" in second.text


def test_a_click_that_names_the_request_is_direct() -> None:
    story = story_of(SPEC, show(1), show(2, "s"), act("click", 3, request_id="r"))
    assert (only(story).reason, only(story).text) == ("direct", "it names request 'r' (rule 2)")


@pytest.mark.parametrize("named", ["s", "none such"])
def test_a_named_request_that_offers_no_sample_is_as_good_as_not_named(named: str) -> None:
    """Request s showed item b only."""
    requests = read(show(1, "r"), show(2, "s", "b"))
    story = story_of(SPEC, requests, act("click", 3, request_id=named))
    assert (only(story).outcome, only(story).reason) == ("shown", "in_domain")
    assert f"the request that it names, {named!r}, offers no such sample" in only(story).text


def test_an_event_that_names_another_request_goes_there() -> None:
    requests = read(show(1, "s"), show(2, "r"))
    story = story_of(SPEC, requests, act("click", 3, request_id="s"))
    assert (only(story).outcome, only(story).reason) == ("lost", "named_other")
    assert "it went to request 's' of 1970-01-01 00:00:00.001 by direct" in only(story).text


def test_an_event_goes_to_the_latest_request() -> None:
    story = story_of(SPEC, show(1, "r"), show(2, "s"), act("click", 3))
    assert (only(story).outcome, only(story).reason) == ("lost", "other_latest")


def test_of_requests_of_one_time_the_smaller_id_receives_the_event() -> None:
    """By bytes: `z` is smaller than `é`."""
    for requests in ([show(1, "é"), show(1, "z", row=1)], [show(1, "z"), show(1, "é", row=1)]):
        story = story_of(SPEC, read(*requests), act("click", 3), request="z")
        assert (only(story).outcome, only(story).reason) == ("shown", "in_domain")
        other = story_of(SPEC, read(*requests), act("click", 3), request="é")
        assert (only(other).outcome, only(other).reason) == ("lost", "other_latest")


def test_a_purchase_goes_to_the_latest_request_that_was_clicked() -> None:
    requests = read(show(1, "s"), show(2, "r"))
    events = read(act("click", 3, "c", request_id="s"), act("buy", 4, "b"))
    story = story_of(SPEC, requests, events)
    assert verdicts(story, "buy") == {"b": ("lost", "other_clicked")}
    assert "'s' is the latest of domain 'feed' that was clicked (click 'c')" in (
        only(story, "buy").text
    )
    assert [(flag.event_id, flag.request_id) for flag in story.flags] == [("c", "s")]


def test_a_purchase_whose_click_was_retracted_goes_to_the_latest_exposed() -> None:
    """Request s was clicked, the click retracted at 4: it no longer counts at 5."""
    requests = read(show(1, "s"), show(2, "r"))
    events = read(act("click", 3, "c", request_id="s"), refund(4, event_id="c"))
    story = story_of(SPEC, requests, events, act("buy", 5, "b"))
    assert verdicts(story, "buy") == {"b": ("shown", "in_domain")}
    assert "exposed the item, none being clicked" in only(story, "buy").text
    other = story_of(SPEC, requests, events, act("buy", 5, "b"), request="s")
    assert verdicts(other, "buy") == {"b": ("lost", "other_latest")}
    assert "its click 'c' was retracted at 1970-01-01 00:00:00.004, before this event" in (
        only(other, "buy").text
    )
    [flag] = other.flags
    assert (flag.request_id, flag.until_ms) == ("s", 4)


def test_a_retracted_click_counts_for_a_purchase_before_its_retraction() -> None:
    requests = read(show(1, "s"), show(2, "r"))
    events = read(act("click", 3, "c", request_id="s"), refund(6, event_id="c"))
    story = story_of(SPEC, requests, events, act("buy", 5, "b"))
    assert verdicts(story, "buy") == {"b": ("lost", "other_clicked")}


@pytest.mark.parametrize(
    ("time_ms", "reason"),
    [(4, "before_request"), (5, "in_domain"), (25, "in_domain"), (26, "outside_horizon")],
)
def test_the_horizon_has_two_edges(time_ms: int, reason: str) -> None:
    story = story_of(SPEC, show(5), act("click", time_ms))
    assert only(story).reason == reason


def test_words_for_what_is_out_of_reach() -> None:
    early, past = (story_of(SPEC, show(905), act("click", at)) for at in (4, 926))
    assert only(early).text == "901 ms before the request (rule 1)"
    assert only(past).text == "21 ms after the request, past the horizon of 20 ms (rule 1)"


def test_an_event_of_another_domain_counts_there_only() -> None:
    story = story_of(SPEC, show(1), act("click", 2, scenario="find"))
    assert (only(story).outcome, only(story).reason) == ("lost", "other_domain")
    nowhere = story_of(SPEC, show(1), act("click", 2, scenario=None))
    assert only(nowhere).text.startswith("it is without a domain, the sample of 'feed'")


def test_a_task_that_does_not_name_the_domain_has_no_label() -> None:
    spec = product(task("click", domains=("search",)))
    story = story_of(spec, show(1), act("click", 2))
    assert task_of(story).stored[0].label.value is None
    assert (only(story).outcome, only(story).reason) == ("lost", "task_elsewhere")


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("sum", {"1": "direct", "2": "counted", "3": "counted"}),
        ("max", {"1": "not_largest", "2": "direct", "3": "not_largest"}),
        ("last", {"1": "not_last", "2": "not_last", "3": "direct"}),
    ],
)
def test_a_label_of_values_shows_one_event(kind, expected: dict[str, str]) -> None:
    """Of 2.0, 3.0 and 3.0 the first is shown with the sum, the second is the largest."""
    values = {"1": 2.0, "2": 3.0, "3": 3.0}
    clicks = [
        act("click", 2 + int(name), name, request_id="r", value=value)
        for name, value in values.items()
    ]
    story = story_of(product(task("click", value=kind)), show(1), *clicks)
    told = {
        name: outcome if outcome == "counted" else reason
        for name, (outcome, reason) in verdicts(story).items()
    }
    assert told == expected


def test_a_retracted_event_is_withdrawn_at_a_later_cut() -> None:
    """[0, 10) is sealed at 10; the retraction of 15 is known at 20, when the label is open."""
    story = story_of(SPEC, show(1), act("click", 3), refund(15))
    assert (only(story).outcome, only(story).reason) == ("lost", "retracted")
    assert "withdrawn at the cut of 1970-01-01 00:00:00.020" in only(story).text
    assert only(story).retractions == (
        "retracted at 1970-01-01 00:00:00.015, known at the cut of 1970-01-01 00:00:00.020: "
        "withdrawn from this label",
    )
    window, revision = task_of(story).stored
    assert (window.label.value, revision.label.value, revision.retraction) == (1.0, 0.0, True)


def test_a_retraction_of_a_closed_label_changes_nothing() -> None:
    """The label of 1 closes at 21, the retraction is of 22 and known at 30."""
    story = story_of(SPEC, show(1), act("click", 3), refund(22))
    assert (only(story).outcome, only(story).reason) == ("shown", "in_domain")
    assert (
        only(story)
        .retractions[0]
        .endswith("the label had closed then, and stays as it is (rule 7)")
    )


@pytest.mark.parametrize(
    ("regret", "ending"),
    [
        # M is 40: one of 2 does not reach a click of 43, one of 3 does.
        (refund(2), "is older than the event by more than M: it does not act (rule 7)"),
        (refund(3), "withdrawn from this label"),
    ],
)
def test_a_retraction_may_be_older_than_its_event_by_m(regret, ending: str) -> None:
    story = story_of(SPEC, read(show(41), act("click", 43), regret))
    assert only(story).retractions[0].endswith(ending)


def test_copies_of_a_retraction_are_told() -> None:
    story = story_of(OPEN_SPEC, read(show(1), act("click", 3), refund(5), refund(6, row=1)))
    first, copy = only(story).retractions
    assert first.endswith("withdrawn from this label")
    assert copy == ("the retraction of 1970-01-01 00:00:00.006 is a copy of another one (identity)")


def test_a_late_event_revises_a_label_that_is_open() -> None:
    """Read after the cut of 10, a click of 3 is settled at 20; the label closes at 21."""
    story = story_of(SPEC, show(1), Seal(10), act("click", 3))
    assert (only(story).outcome, only(story).reason, only(story).late) == (
        "shown",
        "in_domain",
        True,
    )
    window, revision = task_of(story).stored
    assert (window.label.value, revision.cut_ms, revision.late) == (0.0, 20, True)
    assert "(read late)" in as_text(story)


def test_a_late_event_on_a_closed_label_counts_for_nothing() -> None:
    """Read after the cut of 30: the label was published at 10 and closed at 21."""
    story = story_of(SPEC, show(1), Seal(30), act("click", 3))
    assert (only(story).outcome, only(story).reason) == ("lost", "closed")
    assert only(story).text.endswith(
        "read late, at the cut of 1970-01-01 00:00:00.040: the label had been published and "
        "closed at 1970-01-01 00:00:00.021 (rule 8)"
    )


def test_an_event_that_is_older_than_memory_is_a_dead_letter() -> None:
    """M is 40: at the last cut of 50 a click of 9 is refused, one of 10 is not."""
    for time_ms, reason in ((9, "late"), (10, "closed")):
        story = story_of(SPEC, show(1), Seal(50), act("click", time_ms))
        assert (only(story).outcome, only(story).reason) == ("lost", reason)


def test_the_earliest_copy_of_an_event_lives() -> None:
    clicks = read(act("click", 4, row=1), act("click", 3, row=2))
    story = story_of(SPEC, show(1), clicks)
    first, copy = task_of(story).considered
    assert (first.outcome, first.time_ms, first.reason) == ("shown", 3, "in_domain")
    assert (copy.outcome, copy.reason) == ("lost", "duplicate")
    assert "a copy of the event of 1970-01-01 00:00:00.003 in file:2" in copy.text


@pytest.mark.parametrize(("time_ms", "reason"), [(50, "duplicate"), (51, "in_domain")])
def test_an_id_that_is_forgotten_may_come_again(time_ms: int, reason: str) -> None:
    """M is 40: a click of 5 is remembered at the cut of 50 (0 ≤ 5), not at that of 60 (10 > 5)."""
    story = story_of(SPEC, show(45), read(act("click", 5, row=1), act("click", time_ms, row=2)))
    first, again = task_of(story).considered
    assert (first.reason, again.reason) == ("before_request", reason)


def test_a_copy_on_another_item_is_told_so() -> None:
    clicks = read(act("click", 3, item="b", row=1), act("click", 4, item="a", row=2))
    story = story_of(SPEC, show(1, items="ab"), clicks)
    assert "on item 'b'" in only(story).text


def test_an_event_whose_cut_has_not_come_is_pending() -> None:
    """Sealed up to 10 only."""
    story = story_of(SPEC, read(show(1), act("click", 13)), Seal(10), final=False)
    assert (only(story).outcome, only(story).reason) == ("lost", "pending")
    assert "the cut of 1970-01-01 00:00:00.020" in only(story).text
    assert (task_of(story).open, story.last_cut_ms) == (True, 10)


def test_a_retraction_whose_cut_has_not_come_is_told() -> None:
    events = read(show(1), act("click", 3), refund(13))
    story = story_of(SPEC, events, Seal(10), final=False)
    assert only(story).outcome == "shown"
    assert only(story).retractions[0].endswith("00:00:00.020, which has not come yet")


def test_an_event_that_was_not_read_yet_counts_for_nothing() -> None:
    """The pipeline never saw the click of 3, so a window without it is right."""
    schedule = schedule_of(show(1))
    [(stored, events)] = everything(SPEC, schedule, run_steps(SPEC, schedule))
    seen = events_by_user(SPEC, schedule_of(act("click", 3)))["u"].feedback
    for refused, agrees in ((UNREAD, True), ("future", True), (None, False)):
        reading = replace(seen[0].reading, refused=refused)
        events.feedback = [replace(seen[0], reading=reading)]
        story = explain(stored, SPEC, events)
        assert story.agrees is agrees
        if refused:
            assert (only(story).outcome, only(story).reason) == ("lost", refused)


def test_a_label_that_the_rules_do_not_give_is_told_plainly() -> None:
    schedule = schedule_of(show(1), act("click", 3), refund(15))
    [(stored, events)] = everything(SPEC, schedule, run_steps(SPEC, schedule))
    assert explain(stored, SPEC, events).agrees
    events.retractions.clear()
    story = explain(stored, SPEC, events)
    assert task_of(story).problems == (
        "window 19700101T000000.010Z carries a revision to 0, no event, open; the rules over "
        "these events give none at its cut",
    )
    events.feedback.clear()
    assert "window 19700101T000000Z shows 1 by in_domain, event 'e' of 1970-01-01 00:00:00.003, " \
        "open; the rules over these events give 0, no event, open" in (
            task_of(explain(stored, SPEC, events)).problems
        )  # fmt: skip
    assert not explain(stored, SPEC, events).agrees


def test_a_revision_that_is_missing_is_told() -> None:
    schedule = schedule_of(show(1), Seal(10), act("click", 3))
    [(stored, events)] = everything(SPEC, schedule, run_steps(SPEC, schedule))
    story = explain(replace(stored, revisions=()), SPEC, events)
    assert task_of(story).problems == (
        "no window carries a revision at the cut of 1970-01-01 00:00:00.020; the rules over these "
        "events give one to 1 by in_domain, event 'e' of 1970-01-01 00:00:00.003, open",
    )


def test_a_revision_to_another_label_and_one_from_another_are_told() -> None:
    schedule = schedule_of(show(1), Seal(10), act("click", 3))
    [(stored, events)] = everything(SPEC, schedule, run_steps(SPEC, schedule))
    [revision] = stored.revisions
    wrong = replace(revision, new=Label(1.0, "direct", "e", 3, True), old=Label(2.0))
    problems = task_of(explain(replace(stored, revisions=(wrong,)), SPEC, events)).problems
    assert [problem.split("; ")[0] for problem in problems] == [
        "the revision in window 19700101T000000.010Z says that the label was 2, no event",
        "window 19700101T000000.010Z carries a revision to 1 by direct, event 'e' of 1970-01-01 "
        "00:00:00.003, open",
    ]


def test_a_sample_whose_request_the_source_lacks_is_told() -> None:
    schedule = schedule_of(show(1), act("click", 3))
    [(stored, events)] = everything(SPEC, schedule, run_steps(SPEC, schedule))
    request = events.requests.pop()
    [problem] = explain(stored, SPEC, events).problems
    assert problem.endswith(
        "the source holds no request 'r' of 1970-01-01 00:00:00.001 of user 'u'"
    )
    reading = replace(request.reading, refused="late")
    events.requests = [replace(request, reading=reading)]
    [problem] = explain(stored, SPEC, events).problems
    assert problem.endswith("does not count: it is a dead letter `late` (rule 8)")
    events.requests = [replace(request, candidates=())]
    [problem] = explain(stored, SPEC, events).problems
    assert problem.endswith("in the source does not keep item 'a'")


def test_facts_of_the_sample_are_compared_too() -> None:
    schedule = schedule_of(show(1))
    [(stored, events)] = everything(SPEC, schedule, run_steps(SPEC, schedule))
    moved = replace(stored, sample=replace(stored.sample, position=3))
    assert explain(moved, SPEC, events).problems == (
        "the window shows position 3; the rules over these events give 0",
    )


def test_without_events_the_store_alone_is_told() -> None:
    schedule = schedule_of(show(1), act("click", 3), refund(15))
    [(stored, _)] = everything(SPEC, schedule, run_steps(SPEC, schedule))
    story = explain(stored, SPEC, None)
    assert (story.compared, story.agrees) == (False, True)
    assert [moment.label.value for moment in task_of(story).stored] == [1.0, 0.0]
    assert task_of(story).considered == ()
    assert as_text(story).splitlines()[-1].startswith("Explained from the window store alone.")


def test_another_spec_is_noted() -> None:
    schedule = schedule_of(show(1))
    [(stored, events)] = everything(SPEC, schedule, run_steps(SPEC, schedule))
    notes = explain(stored, product(CLICK, task("tap")), events).notes
    assert [note.split(" ", 6)[:6] for note in notes] == [
        "the window was sealed under another".split(),
        "only the window has task 'buy'".split(),
        "only the spec has task 'tap'".split(),
    ]
