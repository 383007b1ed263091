"""When each event was settled and which of its copies lives: rules "identity" and 8."""

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import Generic

from pipelines.explain.events import Event
from schemas.spec import Spec


@dataclass(frozen=True, eq=False)
class Settled(Generic[Event]):
    """An event and the cut that settles it: the first at or after its time, or, read late, the
    next one after it was read."""

    event: Event
    cut_ms: int
    late: bool


@dataclass(frozen=True, eq=False)
class Refused(Generic[Event]):
    """An event that does not count; of a `duplicate` the copy that lives."""

    event: Event
    reason: str
    survivor: Event | None = None


@dataclass(frozen=True)
class Copies(Generic[Event]):
    """Events parted into those that live and those that do not count."""

    living: list[Settled[Event]]
    refused: list[Refused[Event]]


Freed = Callable[[Settled[Event], int], bool]
"""Whether a living event no longer reserves its identity when a cut is evaluated."""


def reach_ms(spec: Spec) -> int:
    """While cut C is evaluated, what has `t < C - reach` is forgotten."""
    return spec.window.length_ms + spec.memory_ms


def settled(event: Event, spec: Spec) -> Settled[Event]:
    """Rule 8: what has `t ≤` the last cut when it is read is late, and settled at the next."""
    last_ms = event.reading.last_cut_ms
    if last_ms is not None and event.time_ms <= last_ms:
        return Settled(event, last_ms + spec.window.length_ms, late=True)
    return Settled(event, spec.window.cut_at_or_after(event.time_ms), late=False)


def settle(
    events: Iterable[Event],
    identity: Callable[[Event], Hashable],
    oldest_ms: Callable[[int], int],
    spec: Spec,
    freed: Freed[Event] = lambda one, cut_ms: False,
) -> Copies[Event]:
    """Which events live. Late ones older than `oldest_ms` of the last cut are refused.

    Of copies that one cut settles the earliest lives, then the smaller digest; a copy of an event
    that is still remembered is a duplicate.
    """
    copies: Copies[Event] = Copies([], [])
    groups: dict[Hashable, list[Settled[Event]]] = {}
    for event in events:
        one = settled(event, spec)
        reason = event.reading.refused or _too_late(one, oldest_ms)
        if reason is None:
            groups.setdefault(identity(event), []).append(one)
        else:
            copies.refused.append(Refused(event, reason))
    for group in groups.values():
        _part(sorted(group, key=_order), copies, spec, freed)
    return copies


def _too_late(one: Settled[Event], oldest_ms: Callable[[int], int]) -> str | None:
    last_ms = one.event.reading.last_cut_ms
    if not one.late or last_ms is None:
        return None
    return "late" if one.event.time_ms < oldest_ms(last_ms) else None


def _order(one: Settled[Event]) -> tuple[int, int, bytes]:
    return one.cut_ms, one.event.time_ms, one.event.reading.digest


def _part(
    ranked: list[Settled[Event]], copies: Copies[Event], spec: Spec, freed: Freed[Event]
) -> None:
    """Copies of one identity, cut by cut."""
    known: Settled[Event] | None = None
    for cut_ms, same in groupby(ranked, key=lambda one: one.cut_ms):
        group = list(same)
        if known is None or _forgotten(known, cut_ms, spec) or freed(known, cut_ms):
            known = group.pop(0)
            copies.living.append(known)
        copies.refused.extend(Refused(one.event, "duplicate", known.event) for one in group)


def _forgotten(known: Settled[Event], cut_ms: int, spec: Spec) -> bool:
    return known.event.time_ms < cut_ms - reach_ms(spec)
