"""An explanation as a person reads it, and as a machine does."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from pipelines.explain.considered import Considered, FlagNote
from pipelines.explain.story import Made, Moment, Story, TaskStory
from pipelines.explain.words import of_label, when
from schemas.windows.names import window_name
from schemas.windows.sample import SealedSample

AGREES = "The rules over these events give what is stored."
ALONE = (
    "Explained from the window store alone. With --source the events that were considered would "
    "be listed, each with why it counts or does not, and the labels compared with what the rules "
    "give over them."
)


def as_json(story: Story) -> dict[str, Any]:
    """The story as values that JSON can hold; labels as `value, tier, event_id, time_ms, open`."""
    told = asdict(story)
    sample = told["sample"]
    manifest = sample.pop("manifest")
    del sample["labels"]
    sample |= {
        "window": window_name(manifest["window_start_ms"]),
        "cut_ms": manifest["cut_ms"],
    }
    return {**told, "compared": story.compared, "agrees": story.agrees}


def as_text(story: Story) -> str:
    """The story in lines."""
    return "\n".join(_lines(story))


def _lines(story: Story) -> Iterator[str]:
    yield from _sample(story.sample, story.last_cut_ms)
    if story.made is not None:
        yield from _made(story.made, story.sample)
    for task in story.tasks:
        yield ""
        yield from _task(task)
    if story.flags:
        yield ""
        yield "clicks, and the requests that count as clicked for conversions"
        yield from (f"  {_flag(flag)}" for flag in story.flags)
    yield ""
    yield from (f"Note: {note}." for note in story.notes)
    yield from _verdict(story)


def _sample(sample: SealedSample, last_cut_ms: int | None) -> Iterator[str]:
    window = window_name(sample.manifest.window_start_ms)
    query = "" if sample.query is None else f", query {sample.query!r}"
    chance = "" if sample.probability == 1.0 else f", kept with probability {sample.probability:g}"
    last = (
        "input complete, all is sealed"
        if last_cut_ms is None
        else f"last cut evaluated {when(last_cut_ms)}"
    )
    yield (
        f"request {sample.request_id!r} of user {sample.user_id!r}, item {sample.item_id!r}, in "
        f"window {window}"
    )
    yield (
        f"  {when(sample.time_ms)}, scenario {sample.scenario} of domain {sample.origin_domain}"
        f"{query}"
    )
    yield f"  {sample.origin} at position {sample.position}{chance}"
    yield f"  cut {when(sample.manifest.cut_ms)}; {last}"


def _made(made: Made, sample: SealedSample) -> Iterator[str]:
    click = "a click" if made.click is None else _click(made.click)
    yield (
        f"  a request of domain {sample.domain}, made of {click} on item {made.positive!r} of "
        f"request {made.source_request!r} (rule 10)"
    )
    score = "" if made.query_score is None else f", score {made.query_score:g}"
    whose = "" if made.query_request is None else f": request {made.query_request!r} had shown it"
    yield f"  query by path {made.query_path}{score}{whose}"
    if made.likeness is not None:
        alike = made.likeness
        told = "unknown" if alike.similarity is None else f"{alike.similarity:.6g}"
        yield (
            f"  similarity to {made.positive!r}: {told} (floor {made.floor:g}; "
            f"{alike.negative_text!r} and {alike.positive_text!r})"
        )


def _click(note: FlagNote) -> str:
    return f"{note.stream} {note.event_id!r} of {when(note.time_ms)}"


def _flag(note: FlagNote) -> str:
    until = "" if note.until_ms is None else f", until it was retracted at {when(note.until_ms)}"
    return f"{_click(note)}: request {note.request_id!r}{until}"


def _task(task: TaskStory) -> Iterator[str]:
    state = (
        f"open until {when(task.closes_ms)}"
        if task.open
        else (f"closed since {when(task.closes_ms)}")
    )
    yield f"{task.task}: {of_label(task.stored[-1].label)}; {state}"
    for at, moment in enumerate(task.stored):
        yield f"  {_moment(moment, is_revision=at > 0)}"
    if task.ruled is None:
        return
    yield f"  {task.stream} events considered: {len(task.considered) or 'none'}"
    for one in task.considered:
        yield f"    {_considered(one)}"
        yield from (f"      {note}" for note in one.retractions)


def _moment(moment: Moment, is_revision: bool) -> str:
    kind = "revision in window" if is_revision else "window"
    marks = [name for name in ("retraction", "late") if getattr(moment, name)]
    why = f" ({', '.join(marks)})" if marks else ""
    state = "open" if moment.label.open else "closed"
    return f"{kind} {moment.window}: {of_label(moment.label)}, {state} at its cut{why}"


def _considered(one: Considered) -> str:
    if one.time_ms is None:
        return f"{one.outcome:<8}{one.source}:{one.position}: {one.text}"
    facts = [f"value {one.value:g}"] if one.value is not None else []
    facts += [f"names {one.request_id!r}"] if one.request_id is not None else []
    facts += ["read late"] if one.late else []
    told = f" ({', '.join(facts)})" if facts else ""
    return f"{one.outcome:<8}{when(one.time_ms)} {one.event_id!r}{told}: {one.text}"


def _verdict(story: Story) -> Iterator[str]:
    for problem in story.problems:
        yield f"DISAGREES: {problem}."
    for task in story.tasks:
        yield from (f"DISAGREES: {task.task}: {problem}." for problem in task.problems)
    if not story.compared:
        yield ALONE
    elif story.agrees:
        yield AGREES
