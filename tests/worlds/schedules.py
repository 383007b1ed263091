"""How the events of a world are read: in batches, in any order, with seals between them."""

from itertools import product
from typing import NamedTuple

from hypothesis import strategies as st

from schemas.spec import Spec
from tests.oracle import Event, Read, Schedule, Seal, SealAll
from tests.oracle.schedule import Step
from tests.worlds.events import Drawn, event_sets
from tests.worlds.specs import specs, target_specs

FAR_MS = 10**6
"""A clock that no event of a world is ahead of."""


class World(NamedTuple):
    """A product and the way its events are read."""

    spec: Spec
    schedule: Schedule


Reading = tuple[int, int, str]
"""How many batches after the last in which it is on time, its order in the batch, its source."""

ON_TIME = st.sampled_from(list(product((0, 0, 0, 0, -1, -2, -5), range(3), ("one", "two"))))
READINGS = st.sampled_from(
    list(product((0, 0, 0, 0, 0, -1, -2, -5, 1, 1, 2), range(3), ("one", "two")))
)
SEALS = st.lists(st.integers(0, 8), unique=True, max_size=5)
CLOCKS = st.sampled_from([*[FAR_MS] * 30, 5, 20, 50])


@st.composite
def worlds(
    draw: st.DrawFn,
    late: bool = True,
    clocks: bool = True,
    final: bool = False,
    products: st.SearchStrategy[Spec] | None = None,
) -> World:
    """A spec and a schedule for it.

    products: where the spec comes from; by default it has no target domain.
    late: some events come after the cut that would have settled them.
    clocks: some reads have a clock that events are ahead of.
    final: the schedule always ends with `SealAll`, else it does three times in four.
    """
    spec = draw(specs() if products is None else products)
    cuts = _cuts(spec, draw(SEALS))
    events = draw(event_sets(spec))
    readings = st.lists(READINGS if late else ON_TIME, min_size=len(events), max_size=len(events))
    batches = _batches(events, draw(readings), cuts)
    steps: list[Step] = []
    for index, batch in enumerate(batches):
        steps.append(Read(batch, draw(CLOCKS) if clocks else FAR_MS))
        steps += [Seal(cuts[index])] if index < len(cuts) else []
    ends = final or draw(st.sampled_from([True, True, True, False]))
    return World(spec, (*steps, SealAll()) if ends else tuple(steps))


def target_worlds(
    late: bool = True, clocks: bool = True, final: bool = False
) -> st.SearchStrategy[World]:
    """Worlds whose spec declares a target domain."""
    return worlds(late, clocks, final, target_specs())


def _cuts(spec: Spec, counts: list[int]) -> list[int]:
    window = spec.window
    return [window.cut_at_or_after(count * window.length_ms) for count in sorted(counts)]


def _batches(events: list[Drawn], readings: list[Reading], cuts: list[int]) -> list[list[Event]]:
    """Before the first cut, between each two, after the last."""
    batches: list[list[tuple[int, Event]]] = [[] for _ in range(len(cuts) + 1)]
    for row, ((stream, fields), reading) in enumerate(zip(events, readings, strict=True)):
        slip, order, source = reading
        last_on_time = len([cut for cut in cuts if cut < fields["time_ms"]])
        batch = min(max(last_on_time + slip, 0), len(cuts))
        batches[batch].append((order, Event(stream, fields, source, row)))
    return [[event for _, event in sorted(batch, key=_drawn_order)] for batch in batches]


def _drawn_order(ordered: tuple[int, Event]) -> int:
    return ordered[0]
