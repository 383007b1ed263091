"""Which retraction acts on which event, from when, and why others do not: rule 7."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pipelines.explain.events import Feedback, Retraction
from pipelines.explain.settle import Copies, Settled, reach_ms, settle
from schemas.spec import Spec

Key = tuple[str, str]
"""Stream and event id: whom a retraction names, of one user."""


@dataclass(frozen=True, eq=False)
class Fall:
    """A retraction that met its event at a cut: it acts from a time on."""

    retraction: Retraction
    event: Feedback
    acts_from_ms: int
    cut_ms: int
    late: bool

    def is_known(self, at_ms: int, cut_ms: int) -> bool:
        """Whether the event counts as retracted at a time, as known at a cut."""
        return self.acts_from_ms <= at_ms and self.cut_ms <= cut_ms


@dataclass(frozen=True, eq=False)
class Idle:
    """A retraction that does nothing to an event, and why."""

    retraction: Retraction
    reason: str


@dataclass(frozen=True)
class Regrets:
    """The first retraction that acts on each event, and those that do nothing, by event named."""

    falls: dict[Feedback, Fall]
    idle: dict[Key, list[Idle]]


def key_of(event: Feedback | Retraction) -> Key:
    """The stream and id by which feedback is known and cancelled."""
    return event.stream, event.event_id


def regrets(
    retractions: Iterable[Retraction], feedback: Iterable[Settled[Feedback]], spec: Spec
) -> Regrets:
    """Pair retractions with living events."""
    named: dict[Key, list[Settled[Feedback]]] = {}
    for one in feedback:
        named.setdefault(key_of(one.event), []).append(one)
    copies = _settle(retractions, named, spec)
    told = Regrets({}, {})
    for refused in copies.refused:
        idle = Idle(refused.event, refused.reason)
        told.idle.setdefault(key_of(refused.event), []).append(idle)
    for living in copies.living:
        for met in _meetings(living, named.get(key_of(living.event), []), spec):
            if isinstance(met, Fall):
                first = told.falls.get(met.event)
                told.falls[met.event] = met if first is None else min(first, met, key=_order)
            else:
                told.idle.setdefault(key_of(met.retraction), []).append(met)
    return told


def _order(fall: Fall) -> tuple[int, int]:
    return fall.cut_ms, fall.acts_from_ms


def _settle(
    retractions: Iterable[Retraction], named: dict[Key, list[Settled[Feedback]]], spec: Spec
) -> Copies[Retraction]:
    """A retraction that died without its event reserves no id."""

    def died(one: Settled[Retraction], cut_ms: int) -> bool:
        met = _meetings(one, named.get(key_of(one.event), []), spec)
        return _expired(one, cut_ms, spec) and not any(
            isinstance(each, Fall) and each.cut_ms < cut_ms for each in met
        )

    return settle(retractions, key_of, lambda last_ms: last_ms - spec.memory_ms, spec, died)


def _expired(one: Settled[Retraction], cut_ms: int, spec: Spec) -> bool:
    """Whether it had waited for its event long enough at the cut before."""
    last_ms = cut_ms - spec.window.length_ms
    return one.cut_ms <= last_ms and one.event.time_ms + spec.memory_ms <= last_ms


def _meetings(
    one: Settled[Retraction], events: list[Settled[Feedback]], spec: Spec
) -> Iterator[Fall | Idle]:
    """What becomes of a retraction and each event that it names, in order of their cuts."""
    matched = False
    for event in sorted(events, key=lambda e: max(e.cut_ms, one.cut_ms)):
        cut_ms = max(event.cut_ms, one.cut_ms)
        reason = _why_not(one, event, cut_ms, spec)
        if reason is None and not matched and _expired(one, cut_ms, spec):
            reason = "unmatched"
        if reason is not None:
            yield Idle(one.event, reason)
            continue
        matched = True
        acts_from_ms = max(one.event.time_ms, event.event.time_ms)
        yield Fall(one.event, event.event, acts_from_ms, cut_ms, one.late)


def _why_not(
    one: Settled[Retraction], event: Settled[Feedback], cut_ms: int, spec: Spec
) -> str | None:
    oldest_ms = cut_ms - reach_ms(spec)
    if one.event.time_ms < oldest_ms or event.event.time_ms < oldest_ms:
        return "forgotten"
    return "before_event" if event.event.time_ms > one.event.time_ms + spec.memory_ms else None
