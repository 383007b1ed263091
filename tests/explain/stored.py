"""What steps gave, as the window store would tell it of one sample."""

from collections.abc import Iterator
from typing import Any

from pipelines.explain.events import UserEvents
from pipelines.explain.explain import Stored, explain
from pipelines.explain.story import Story
from schemas.spec import Spec, spec_digest
from schemas.windows import Counts, Manifest
from schemas.windows.sample import revision_of, sample_of
from tests.explain.reading import events_by_user, last_cut_ms
from tests.oracle import Outcome, Schedule


def manifest(spec: Spec, start_ms: int) -> Manifest:
    """That of a window, as far as an explanation looks."""
    end_ms, cut_ms = start_ms + spec.window.length_ms, spec.window.cut(start_ms)
    return Manifest(start_ms, end_ms, cut_ms, spec.name, spec_digest(spec), 2, 1, (), Counts())


def stored(
    spec: Spec, outcome: Outcome, last_ms: int, user: str, request: dict[str, Any], item: str
) -> Stored:
    """One sample and its revisions."""
    sample = sample_of(manifest(spec, spec.window.start(request["time_ms"])), user, request, item)
    mine = user, request["time_ms"], request["id"], item
    revisions = [
        revision_of(manifest(spec, start_ms), row)
        for start_ms, window in sorted(outcome.windows.items())
        for row in window.revisions
        if (row["user_id"], row["request_time_ms"], row["request_id"], row["item_id"]) == mine
    ]
    return Stored(sample, revisions, last_ms)


def everything(
    spec: Spec, schedule: Schedule, outcome: Outcome
) -> Iterator[tuple[Stored, UserEvents]]:
    """Every sample of every window, and its user's events."""
    last_ms, users = last_cut_ms(schedule), events_by_user(spec, schedule)
    for window in outcome.windows.values():
        for user in window.users:
            for request in user["requests"]:
                for item in request["candidates"]["item_id"]:
                    assert last_ms is not None
                    name = user["user_id"]
                    yield stored(spec, outcome, last_ms, name, request, item), users[name]


def stories(spec: Spec, schedule: Schedule, outcome: Outcome) -> Iterator[Story]:
    """Every sample explained."""
    for one, events in everything(spec, schedule, outcome):
        yield explain(one, spec, events)
