"""A product and events that a person can work out by hand.

Windows of 10 ms and no maturity, unless a test says otherwise: window [0, 10) is sealed at cut 10.
"""

from typing import Any

from schemas.spec import (
    Domain,
    Feature,
    LabelValue,
    Sequences,
    Spec,
    Stream,
    StreamKind,
    Target,
    Task,
    Time,
    Window,
)
from tests.oracle import Event, Outcome, Read, SealAll, run
from tests.oracle.schedule import Step

NOW_MS = 1000
STREAMS: dict[str, StreamKind] = {
    "show": "exposure",
    "click": "click",
    "tap": "click",
    "buy": "conversion",
    "refund": "retraction",
    "shelf": "item",
}
DOMAINS = {
    "feed": Domain("feed", ("front", "side")),
    "search": Domain("search", ("find",)),
    "shop": Domain("shop", ("mall",)),
}


def task(
    name: str,
    horizon_ms: int = 20,
    retraction_horizon_ms: int = 0,
    value: LabelValue = "binary",
    domains: tuple[str, ...] = tuple(DOMAINS),
) -> Task:
    """A task of the stream of the same name."""
    return Task(name, name, horizon_ms, retraction_horizon_ms, value, domains)


def product(
    *tasks: Task,
    maturity_ms: int = 0,
    features: tuple[Feature, ...] = (),
    sequences: Sequences | None = None,
    target: Target | None = None,
) -> Spec:
    """A product with these tasks, by default one that predicts clicks within 20 ms."""
    return Spec(
        name="example",
        window=Window(length_ms=10, maturity_ms=maturity_ms),
        time=Time(max_ahead_ms=5, slack_ms=0, idle_ms=1000),
        streams={name: Stream(name, kind, name) for name, kind in STREAMS.items()},
        domains=DOMAINS,
        tasks={one.name: one for one in tasks or (task("click"),)},
        features={feature.name: feature for feature in features},
        sequences=sequences or Sequences(("click", "buy"), history=2, recent=2, features=()),
        target=target,
    )


def show(
    time_ms: int,
    request_id: str = "r",
    items: str | list[dict[str, Any]] = "a",
    user: str = "u",
    scenario: str = "front",
    row: int = 0,
    **features: Any,
) -> Event:
    """A request; a text stands for one exposed candidate a letter, from position 0."""
    if isinstance(items, str):
        items = [candidate(item, position) for position, item in enumerate(items)]
    fields = {"request_id": request_id, "user_id": user, "time_ms": time_ms, "scenario": scenario}
    return Event("show", {**fields, "query": None, **features, "candidates": items}, "file", row)


def mixed(exposed: str = "", hidden: str = "") -> list[dict[str, Any]]:
    """A candidate a letter: the exposed ones from position 0, then the unexposed ones."""
    return [
        candidate(item, position, exposed=position < len(exposed))
        for position, item in enumerate(exposed + hidden)
    ]


def candidate(item: str, position: int, exposed: bool = True, **features: Any) -> dict[str, Any]:
    return {"item_id": item, "position": position, "exposed": exposed, **features}


def act(
    stream: str,
    time_ms: int,
    event_id: str = "e",
    item: str = "a",
    user: str = "u",
    scenario: str | None = "front",
    request_id: str | None = None,
    value: float | None = None,
    row: int = 0,
    **features: Any,
) -> Event:
    """A feedback event."""
    fields = {"event_id": event_id, "user_id": user, "time_ms": time_ms, "item_id": item}
    named = {"scenario": scenario, "request_id": request_id, "value": value}
    return Event(stream, {**fields, **named, **features}, "file", row)


def refund(
    time_ms: int, stream: str = "click", event_id: str = "e", user: str = "u", row: int = 0
) -> Event:
    """A retraction."""
    fields = {"stream": stream, "event_id": event_id, "user_id": user, "time_ms": time_ms}
    return Event("refund", fields, "file", row)


def shelve(item: str, time_ms: int, title: str | None, row: int = 0, **features: Any) -> Event:
    """An item event."""
    fields = {"item_id": item, "time_ms": time_ms, "title": title}
    return Event("shelf", {**fields, **features}, "file", row)


def read(*events: Event) -> Read:
    return Read(events, NOW_MS)


def outcome_of(spec: Spec, *steps: Step | Event) -> Outcome:
    """Run steps and then seal all; an event stands for a read of its own."""
    reads: list[Step] = [read(step) if isinstance(step, Event) else step for step in steps]
    return run(spec, [*reads, SealAll()])


def label(
    outcome: Outcome, request_id: str = "r", task_name: str = "click", item: str = "a"
) -> tuple[Any, ...]:
    """Value, tier, event id, event time and open, as the sample's own window shows them."""
    candidates = request_of(outcome, request_id)["candidates"]
    index = candidates["item_id"].index(item)
    labels = candidates["labels"][task_name]
    return tuple(labels[name][index] for name in ("value", "tier", "event_id", "time_ms", "open"))


def request_of(outcome: Outcome, request_id: str = "r") -> dict[str, Any]:
    """The one request of this id."""
    [request] = [one for one in requests_of(outcome) if one["id"] == request_id]
    return request


def requests_of(outcome: Outcome) -> list[dict[str, Any]]:
    """All requests, in the order of windows and of rule 12."""
    return [
        request
        for start in sorted(outcome.windows)
        for user in outcome.windows[start].users
        for request in user["requests"]
    ]


def pseudo_requests(outcome: Outcome) -> list[dict[str, Any]]:
    """Those that rule 10 made."""
    return [one for one in requests_of(outcome) if one.get("source_request") is not None]


def revisions(outcome: Outcome) -> list[tuple[Any, ...]]:
    """Window, request id, task, new value, retraction and late of every revision, in order."""
    names = ("request_id", "task", "new_value", "retraction", "late")
    return [
        (start, *(revision[name] for name in names))
        for start in sorted(outcome.windows)
        for revision in outcome.windows[start].revisions
    ]


def reasons(outcome: Outcome) -> list[str]:
    return [reason for _, _, _, reason in outcome.dead_letters]
