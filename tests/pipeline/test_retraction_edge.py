"""A retraction at the edge of memory, worked out by hand: horizon and M are 20, windows 10."""

import pytest

from tests.oracle import Event, Seal, SealAll
from tests.oracle.examples import act, label, product, read, refund, revisions, show, task
from tests.oracle.schedule import Step
from tests.pipeline.in_process import run_steps

SPEC = product(task("click", horizon_ms=20))


def steps(*seals: int, regret: Event) -> list[Step]:
    """An event of 5 that a cut of 40 no longer remembers, and its id again, read after 30."""
    before = read(show(24, row=0), act("click", 5, row=1), regret)
    return [before, *map(Seal, seals), Seal(30), read(act("click", 25, row=3)), SealAll()]


@pytest.mark.parametrize("seals", [(), (10,), (10, 20)])
def test_one_that_met_its_event_and_is_just_remembered_withdraws_its_namesake(
    seals: tuple[int, ...],
) -> None:
    # Dated 10, it is remembered at cut 40 (10 ≥ 40 - 10 - 20) and acts on the click of 25.
    outcome = run_steps(SPEC, steps(*seals, regret=refund(10, row=2)))
    assert label(outcome)[0] == 0.0
    assert revisions(outcome) == []


def test_a_millisecond_earlier_it_is_forgotten() -> None:
    outcome = run_steps(SPEC, steps(10, regret=refund(9, row=2)))
    assert revisions(outcome) == [(30, "r", "click", 1.0, False, True)]


def test_one_that_had_met_nothing_is_dead_by_then() -> None:
    # Without the click of 5 it is a dead letter once 10 + 20 ≤ the last cut.
    lonely = read(show(24, row=0), refund(10, row=2))
    outcome = run_steps(SPEC, [lonely, Seal(30), read(act("click", 25, row=3)), SealAll()])
    assert revisions(outcome) == [(30, "r", "click", 1.0, False, True)]
    assert outcome.dead_letters == [("refund", "file", 2, "unmatched")]


@pytest.mark.parametrize("seals", [(), (20,), (10, 20, 30)])
def test_one_that_is_dead_by_then_keeps_no_id_from_a_later_one(seals: tuple[int, ...]) -> None:
    # Dated 10 it meets nothing until 10 + 20 = 30, a cut; that of 32 is settled at 40, and 10 is
    # not before 30 - 20. However many cuts are evaluated at once, the later one withdraws.
    events = read(show(24, row=0), refund(10, row=1), act("click", 31, row=2), refund(32, row=3))
    outcome = run_steps(SPEC, [events, *map(Seal, seals), SealAll()])
    assert outcome.dead_letters == [("refund", "file", 1, "unmatched")]
    assert outcome.counters["duplicate"] == 0
    assert revisions(outcome) == []


def test_one_that_met_its_event_in_time_keeps_its_id() -> None:
    events = read(show(4, row=0), act("click", 9, row=1), refund(10, row=2), refund(32, row=3))
    outcome = run_steps(SPEC, [events, SealAll()])
    assert outcome.counters["duplicate"] == 1
    assert outcome.dead_letters == []
