"""Explanations of random worlds: they agree with what is stored, and each event has a verdict."""

from collections import Counter

from hypothesis import HealthCheck, given, settings

from pipelines.explain.story import Made, Story, TaskStory
from pipelines.explain.text import as_json, as_text
from schemas.spec import Spec
from tests.explain.stored import stories
from tests.oracle import Schedule
from tests.pipeline.in_process import run_steps
from tests.worlds import target_worlds, worlds


@settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=25)
@given(world=worlds())
def test_every_explanation_agrees_with_what_is_stored(world: tuple[Spec, Schedule]) -> None:
    _all_agree(*world)


@settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=40)
@given(world=target_worlds())
def test_with_a_target_domain_too(world: tuple[Spec, Schedule]) -> None:
    _all_agree(*world)


def _all_agree(spec: Spec, schedule: Schedule) -> None:
    for story in stories(spec, schedule, run_steps(spec, schedule)):
        assert story.agrees, as_text(story)
        assert story.compared and not story.notes
        for task in story.tasks:
            _verdicts_fit(spec, task)
        if story.made is not None:
            _provenance_fits(story, story.made)
        assert as_json(story)["agrees"] is True


def _verdicts_fit(spec: Spec, story: TaskStory) -> None:
    """The event that is shown now, and it alone, is told as shown; others add to sums only."""
    now = story.stored[-1].label
    outcomes = Counter(one.outcome for one in story.considered)
    shown = [one for one in story.considered if one.outcome == "shown"]
    assert [(one.event_id, one.time_ms, one.reason) for one in shown] == (
        [] if now.tier is None else [(now.event_id, now.time_ms, now.tier)]
    )
    assert outcomes["counted"] == 0 or spec.tasks[story.task].value == "sum"
    if spec.tasks[story.task].value == "sum" and now.tier is not None:
        counted = [one.value for one in story.considered if one.outcome != "lost"]
        total = 0.0
        for value in counted:
            total += value or 0.0
        assert total == now.value


def _provenance_fits(story: Story, made: Made) -> None:
    sample = story.sample
    assert made.click is not None and made.click.request_id == made.source_request
    assert (made.query_request is not None) == (made.query_path == "own")
    if sample.origin == "searchified_negative":
        assert made.likeness is not None and made.likeness.similarity is not None
        assert made.likeness.similarity >= made.floor
