"""One sample explained: worked out by the pipeline's steps, told over the same events."""

from pipelines.explain.considered import Considered
from pipelines.explain.explain import explain
from pipelines.explain.story import Story, TaskStory
from schemas.spec import Spec
from tests.explain.reading import events_by_user, last_cut_ms
from tests.explain.stored import stored
from tests.oracle import Event, Schedule, SealAll
from tests.oracle.examples import read
from tests.oracle.schedule import Step
from tests.pipeline.in_process import run_steps

Verdict = tuple[str, str]
"""Outcome and reason."""


def schedule_of(*steps: Step | Event, final: bool = True) -> Schedule:
    """An event stands for a read of its own; all is sealed at the end, unless it is not final."""
    reads: list[Step] = [read(step) if isinstance(step, Event) else step for step in steps]
    return (*reads, SealAll()) if final else tuple(reads)


def story_of(
    spec: Spec, *steps: Step | Event, request: str = "r", item: str = "a", final: bool = True
) -> Story:
    """The story of user u's sample; the rules agree with what the pipeline made of it."""
    schedule = schedule_of(*steps, final=final)
    outcome, last_ms = run_steps(spec, schedule), last_cut_ms(schedule)
    assert last_ms is not None
    [found] = [
        one
        for window in outcome.windows.values()
        for user in window.users
        for one in user["requests"]
        if one["id"] == request and user["user_id"] == "u"
    ]
    told = stored(spec, outcome, last_ms, "u", found, item)
    story = explain(told, spec, events_by_user(spec, schedule)["u"])
    assert story.agrees, story
    return story


def task_of(story: Story, task: str = "click") -> TaskStory:
    [found] = [one for one in story.tasks if one.task == task]
    return found


def verdicts(story: Story, task: str = "click") -> dict[str, Verdict]:
    """By event id."""
    considered = task_of(story, task).considered
    return {one.event_id or "": (one.outcome, one.reason) for one in considered}


def only(story: Story, task: str = "click") -> Considered:
    """The one event that was considered."""
    [one] = task_of(story, task).considered
    return one
