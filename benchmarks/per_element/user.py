"""One user as step 1 sees it: distinct requests, feedback and retractions, each in order."""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from benchmarks.per_element.events import Event, Fields
from schemas.spec import FEEDBACK_KINDS, Spec


@dataclass(eq=False)
class Request:
    """What was shown at one time, and the cut at which its window is sealed."""

    fields: Fields
    time_ms: int
    domain: str
    sealed_at: int
    samples: list["Sample"] = field(default_factory=list)


@dataclass(eq=False)
class Sample:
    """An exposed candidate and the feedback credited to it, by task."""

    request: Request
    fields: Fields
    credits: dict[str, list["Credit"]] = field(default_factory=dict)
    clicks: list["Feedback"] = field(default_factory=list)


@dataclass(eq=False)
class Feedback:
    """One feedback event; from `falls_ms` on it is retracted, as is known at `falls_cut`.

    `closed` says that the retraction came too late for some label.
    """

    stream: str
    fields: Fields
    time_ms: int
    domain: str | None
    falls_ms: float = math.inf
    falls_cut: float = math.inf
    closed: bool = False


@dataclass(eq=False)
class Credit:
    """An event on a sample: by which tier, from which cut to which."""

    event: Feedback
    tier: str
    settled: int
    withdrawn: float


@dataclass
class User:
    """Requests by (time, id), feedback by (time, stream, event id), and what is told of them."""

    requests: list[Request]
    feedback: list[Feedback]
    unmatched: list[Event]
    counts: Counter[str]


def user_of(events: Iterable[Event], spec: Spec) -> User:
    """Rule "identity": of events with one identity the earliest lives; then retractions act."""
    by_kind, counts = _by_kind(events, spec), Counter[str]()
    exposures = _earliest(by_kind["exposure"], lambda one: one[3]["request_id"], counts)
    feedback = _earliest(by_kind["feedback"], lambda one: (one[0], one[3]["event_id"]), counts)
    retractions = _earliest(by_kind["retraction"], _retracted, counts)
    requests = [_request(one[3], spec) for one in exposures.values()]
    requests.sort(key=lambda one: (one.time_ms, one.fields["request_id"]))
    counts["repeated_item"] += sum(_repeated(one) for one in requests)
    known = {key: _feedback(one, requests, spec) for key, one in feedback.items()}
    unmatched = [one for one in retractions.values() if not _retract(one, known, spec)]
    ordered = sorted(known.values(), key=lambda o: (o.time_ms, o.stream, o.fields["event_id"]))
    return User(requests, ordered, unmatched, counts)


def _by_kind(events: Iterable[Event], spec: Spec) -> dict[str, list[Event]]:
    by_kind: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        kind = spec.streams[event[0]].kind
        by_kind["feedback" if kind in FEEDBACK_KINDS else kind].append(event)
    return by_kind


def _earliest(
    events: list[Event], identity: Callable[[Event], Any], counts: Counter[str]
) -> dict[Any, Event]:
    first: dict[Any, Event] = {}
    for one in events:
        other = first.setdefault(identity(one), one)
        if one[3]["time_ms"] < other[3]["time_ms"]:
            first[identity(one)] = one
    counts["duplicate"] += len(events) - len(first)
    return first


def _retracted(event: Event) -> tuple[str, str]:
    return event[3]["stream"], event[3]["event_id"]


def _request(fields: Fields, spec: Spec) -> Request:
    time_ms, window = fields["time_ms"], spec.window
    sealed_at = window.cut(window.start(time_ms))
    request = Request(fields, time_ms, spec.domain_of(fields["scenario"]), sealed_at)
    seen: set[str] = set()
    for one in sorted(fields["candidates"], key=lambda candidate: candidate["position"]):
        if one["exposed"] is not False and one["item_id"] not in seen:
            seen.add(one["item_id"])
            request.samples.append(Sample(request, one))
    return request


def _repeated(request: Request) -> int:
    candidates = request.fields["candidates"]
    return len(candidates) - len({one["item_id"] for one in candidates})


def _feedback(event: Event, requests: list[Request], spec: Spec) -> Feedback:
    stream, _, _, fields = event
    return Feedback(stream, fields, fields["time_ms"], _domain(fields, requests, spec))


def _domain(fields: Fields, requests: list[Request], spec: Spec) -> str | None:
    if fields["scenario"] is not None:
        return spec.domain_of(fields["scenario"])
    for one in requests:
        age_ms = fields["time_ms"] - one.time_ms
        named = one.fields["request_id"] == fields["request_id"]
        if named and 0 <= age_ms <= spec.longest_horizon_ms:
            return one.domain
    return None


def _retract(retraction: Event, known: dict[Any, Feedback], spec: Spec) -> bool:
    """Rule 7; returns whether there is such an event."""
    event, time_ms = known.get(_retracted(retraction)), retraction[3]["time_ms"]
    if event is None or event.time_ms > time_ms + spec.memory_ms:
        return False
    falls_ms = max(event.time_ms, time_ms)
    event.falls_ms, event.falls_cut = falls_ms, spec.window.cut_at_or_after(falls_ms)
    return True
