"""How the events of a world are read: in batches, in any order, with seals between them."""

from typing import NamedTuple

from hypothesis import strategies as st

from schemas.spec import Spec
from tests.oracle import Event, Read, Schedule, Seal, SealAll
from tests.oracle.schedule import Step
from tests.worlds.events import event_sets
from tests.worlds.specs import specs

FAR_MS = 10**6
"""A clock that no event of a world is ahead of."""


class World(NamedTuple):
    """A product and the way its events are read."""

    spec: Spec
    schedule: Schedule


@st.composite
def worlds(draw: st.DrawFn, late: bool = True, clocks: bool = True, final: bool = False) -> World:
    """A spec and a schedule for it.

    late: some events come after the cut that would have settled them.
    clocks: some reads have a clock that events are ahead of.
    final: the schedule always ends with `SealAll`, else it does three times in four.
    """
    spec = draw(specs())
    events = draw(_numbered(spec))
    cuts = draw(_seals(spec))
    batches: list[list[Event]] = [[] for _ in range(len(cuts) + 1)]
    for event in draw(st.permutations(events)):
        batches[draw(_batch(event, cuts, late))].append(event)
    steps: list[Step] = []
    for index, batch in enumerate(batches):
        steps.append(Read(tuple(batch), draw(_clock()) if clocks else FAR_MS))
        steps += [Seal(cuts[index])] if index < len(cuts) else []
    ends = final or draw(st.sampled_from([True, True, True, False]))
    return World(spec, (*steps, SealAll()) if ends else tuple(steps))


@st.composite
def _numbered(draw: st.DrawFn, spec: Spec) -> list[Event]:
    drawn = draw(event_sets(spec))
    sources = st.sampled_from(["one", "two"])
    return [Event(stream, fields, draw(sources), row) for row, (stream, fields) in enumerate(drawn)]


@st.composite
def _seals(draw: st.DrawFn, spec: Spec) -> list[int]:
    """Up to five cuts in rising order."""
    window = spec.window
    counts = draw(st.lists(st.integers(0, 8), unique=True, max_size=5))
    return [window.cut_at_or_after(count * window.length_ms) for count in sorted(counts)]


@st.composite
def _batch(draw: st.DrawFn, event: Event, cuts: list[int], late: bool) -> int:
    """The last batch in which the event is on time, an earlier one, or some that is too late."""
    on_time = len([cut for cut in cuts if cut < event.fields["time_ms"]])
    slips = [0, 0, 0, 0, -1, -2, -5, *([1, 1, 2, 3] if late else [])]
    batch = on_time + draw(st.sampled_from(slips))
    return min(max(batch, 0), len(cuts))


def _clock() -> st.SearchStrategy[int]:
    return st.sampled_from([FAR_MS] * 8) | st.integers(0, 100)
