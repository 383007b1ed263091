"""A schedule's events as the explainer wants them: whose they are, and the last cut when read."""

from typing import Any

from pipelines.explain.events import (
    Candidate,
    Feedback,
    Reading,
    Request,
    Retraction,
    UserEvents,
    Version,
)
from pipelines.steps.step import FINAL_CUT
from schemas.spec import FEEDBACK_KINDS, Spec
from tests.oracle import Event, Read, Schedule, Seal, SealAll
from tests.oracle.identity import digest
from tests.oracle.schedule import Step
from tests.oracle.validation import rejection


def last_cut_ms(schedule: Schedule) -> int | None:
    """The last cut when a schedule is over; None if none was sealed."""
    if any(isinstance(step, SealAll) for step in schedule):
        return FINAL_CUT
    return max((step.cut_ms for step in schedule if isinstance(step, Seal)), default=None)


def events_by_user(spec: Spec, schedule: Schedule) -> dict[str, UserEvents]:
    """What each user did, as far as it can be used at all; the items' versions are everybody's."""
    users: dict[str, UserEvents] = {}
    versions: list[Version] = []
    for at, step in enumerate(schedule):
        if isinstance(step, Read):
            last_ms = last_cut_ms(schedule[:at])
            for event in step.events:
                if rejection(spec, event, step.now_ms) is None:
                    reading = Reading(event.source, event.row, last_ms, digest(spec, event))
                    _add(users, versions, spec, event, reading)
    for events in users.values():
        events.versions = versions
    return users


def events_of(spec: Spec, user: str, *steps: Step | Event) -> UserEvents:
    """One user's events of steps; an event stands for a read of its own."""
    schedule = [Read([step], 10**9) if isinstance(step, Event) else step for step in steps]
    return events_by_user(spec, schedule)[user]


def _add(
    users: dict[str, UserEvents],
    versions: list[Version],
    spec: Spec,
    event: Event,
    reading: Reading,
) -> None:
    kind, fields = spec.streams[event.stream].kind, event.fields
    if kind == "item":
        text = _text(spec, fields)
        versions.append(Version(fields["item_id"], fields["time_ms"], text, reading))
        return
    of = users.setdefault(fields["user_id"], UserEvents(fields["user_id"]))
    if kind == "exposure":
        of.requests.append(_request(event, reading))
    elif kind in FEEDBACK_KINDS:
        of.feedback.append(_feedback(event, reading))
    else:
        names = fields["stream"], fields["event_id"], fields["time_ms"]
        of.retractions.append(Retraction(*names, reading))


def _text(spec: Spec, fields: dict[str, Any]) -> str | None:
    """The title, then the words of the features that the spec names."""
    if fields["title"] is None or spec.target is None or spec.target.searchify is None:
        return None
    words = [fields["title"]]
    for name in spec.target.searchify.text:
        value = fields[name]
        words += value if isinstance(value, list) else [value] * (value is not None)
    return " ".join(words)


def _request(event: Event, reading: Reading) -> Request:
    fields = event.fields
    return Request(
        fields["request_id"],
        fields["time_ms"],
        fields["scenario"],
        fields["query"],
        tuple(
            Candidate(one["item_id"], one["position"], one["exposed"])
            for one in fields["candidates"]
        ),
        reading,
    )


def _feedback(event: Event, reading: Reading) -> Feedback:
    fields = event.fields
    names = ("event_id", "time_ms", "item_id", "scenario", "request_id", "value")
    return Feedback(event.stream, *(fields[name] for name in names), reading)
