"""One sample explained: what is stored, what the rules give over the user's events, and why."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from pipelines.explain.absent import why_absent
from pipelines.explain.compare import broken_chain, differences, other_facts, stored_moments
from pipelines.explain.considered import considered, flags
from pipelines.explain.events import UserEvents
from pipelines.explain.labels import history
from pipelines.explain.pseudo import (
    made_by,
    made_of,
    negative_of,
    positive_of,
    standing_clicks,
)
from pipelines.explain.reasons import Judge
from pipelines.explain.ruling import Ruling, rule
from pipelines.explain.samples import Sample
from pipelines.explain.story import Ruled, Story, TaskStory
from pipelines.steps.step import FINAL_CUT
from schemas.spec import Spec, Task, spec_digest
from schemas.windows.sample import SealedRevision, SealedSample


@dataclass(frozen=True)
class Stored:
    """What the window store holds of a sample, and the last cut that was evaluated."""

    sample: SealedSample
    revisions: Sequence[SealedRevision]
    last_cut_ms: int


def explain(stored: Stored, spec: Spec, events: UserEvents | None) -> Story:
    """Why the sample's labels are what they are; without events what the store alone tells."""
    story = _from_lineage(stored, spec)
    if events is None:
        return story
    ruling = rule(spec, events, stored.sample.item_id)
    if stored.sample.source_request is not None:
        return _explain_made(story, stored, ruling, events)
    sample = _native(ruling, stored.sample)
    return _judged(story, stored, ruling, sample, events)


def _native(ruling: Ruling, sealed: SealedSample) -> Sample | None:
    key = sealed.time_ms, sealed.request_id
    found = (s for s in ruling.pair.samples if (s.time_ms, s.request_id) == key)
    return next(found, None)


def _explain_made(story: Story, stored: Stored, ruling: Ruling, events: UserEvents) -> Story:
    """A sample of a request that a click made, on its own item or beside it."""
    sealed = stored.sample
    assert sealed.positive is not None and story.made is not None
    clicked = ruling
    if sealed.positive != sealed.item_id:
        clicked = rule(ruling.spec, events, sealed.positive)
    positive = positive_of(clicked, sealed)
    if positive is None:
        return _judged(story, stored, clicked, None, events)
    story = replace(story, made=made_by(story.made, sealed, clicked, positive, events))
    if clicked is ruling:
        return _judged(story, stored, ruling, positive.sample, events)
    told = _judged(story, stored, ruling, negative_of(ruling, positive), events)
    return replace(told, problems=(*told.problems, *standing_clicks(ruling, positive)))


def _judged(
    story: Story, stored: Stored, ruling: Ruling, sample: Sample | None, events: UserEvents
) -> Story:
    """With the rules' own view of the sample; without one, why they give none."""
    if sample is None:
        return replace(story, problems=(why_absent(ruling, stored.sample, events),))
    tasks = ruling.spec.tasks
    return replace(
        story,
        tasks=tuple(
            _judged_task(Judge(ruling, sample, tasks[one.task], stored.last_cut_ms), one, events)
            for one in story.tasks
        ),
        flags=flags(ruling),
        problems=tuple(other_facts(stored.sample, sample)),
    )


def _judged_task(judge: Judge, story: TaskStory, events: UserEvents) -> TaskStory:
    told = history(judge.credits, judge.sample, judge.task, judge.last_cut_ms)
    ruled = tuple(Ruled(cut_ms, label) for cut_ms, label in told)
    return replace(
        story,
        ruled=ruled,
        considered=considered(judge, events),
        problems=(*story.problems, *differences(story.stored, ruled)),
    )


def _from_lineage(stored: Stored, spec: Spec) -> Story:
    """All that the store tells of each task that spec and window have."""
    sample, last_ms = stored.sample, stored.last_cut_ms
    return Story(
        sample=sample,
        last_cut_ms=None if last_ms == FINAL_CUT else last_ms,
        made=None if sample.source_request is None else made_of(sample, spec),
        tasks=tuple(_stored(stored, t) for t in spec.tasks.values() if t.name in sample.labels),
        notes=tuple(_notes(sample, spec)),
    )


def _notes(sample: SealedSample, spec: Spec) -> Iterator[str]:
    if sample.manifest.spec_digest != spec_digest(spec):
        yield (
            "the window was sealed under another spec than this one: where their rules differ "
            "(tasks, horizons, domains, target), so may labels"
        )
    for name in sorted({*spec.tasks} ^ {*sample.labels}):
        where = "spec" if name in spec.tasks else "window"
        yield f"only the {where} has task {name!r}"


def _stored(stored: Stored, task: Task) -> TaskStory:
    revisions = [one for one in stored.revisions if one.task == task.name]
    moments = stored_moments(stored.sample, revisions, task.name)
    closes_ms = stored.sample.time_ms + task.horizon_ms + task.retraction_horizon_ms
    return TaskStory(
        task=task.name,
        stream=task.stream,
        horizon_ms=task.horizon_ms,
        closes_ms=closes_ms,
        open=closes_ms > stored.last_cut_ms,
        stored=moments,
        problems=tuple(broken_chain(revisions, moments)),
    )
