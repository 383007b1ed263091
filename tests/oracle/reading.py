"""Reading one event: refused, or made to wait for the cut that settles it (rule 8)."""

from tests.oracle.identity import identity_of, is_remembered
from tests.oracle.schedule import Event, Read
from tests.oracle.state import Arrival, State
from tests.oracle.validation import rejection


def read(state: State, batch: Read) -> None:
    """Read a batch at the last cut that now stands."""
    for event in batch.events:
        reason = rejection(state.spec, event, batch.now_ms)
        if reason is None:
            receive(state, event)
        else:
            state.bury(event, reason)


def receive(state: State, event: Event) -> None:
    """Identity: reasons are tried in the order "`duplicate`, `late`". A refused
    event is a duplicate if its cut would still remember what it copies."""
    arrival = Arrival(
        event=event,
        kind=state.spec.streams[event.stream].kind,
        time_ms=event.fields["time_ms"],
        late=is_late(state, event),
        settle_cut_ms=settle_cut(state, event),
    )
    if not is_refused(state, arrival):
        state.waiting.append(arrival)
    elif is_remembered(state, identity_of(state.spec, event), arrival.settle_cut_ms):
        state.count("duplicate")
    else:
        state.bury(event, "late")


def is_late(state: State, event: Event) -> bool:
    """Rule 8: "with `t ≤` the last cut". Before the first cut nothing is late."""
    return state.last_cut_ms is not None and event.fields["time_ms"] <= state.last_cut_ms


def settle_cut(state: State, event: Event) -> int:
    """Credit: "the first cut `C ≥ t_e` at which its event has been read".
    Rule 8: late ones "are settled at the next cut"."""
    if state.last_cut_ms is not None and is_late(state, event):
        return state.last_cut_ms + state.spec.window.length_ms
    return state.spec.window.cut_at_or_after(event.fields["time_ms"])


def is_refused(state: State, arrival: Arrival) -> bool:
    """Rule 8: "an exposure with `t ≤` the last cut is a dead letter `late`"; feedback and
    retractions "older than last cut − M they are dead letters `late`"; an item event never."""
    if state.last_cut_ms is None or not arrival.late or arrival.kind == "item":
        return False
    if arrival.kind == "exposure":
        return True
    return arrival.time_ms < state.last_cut_ms - state.spec.memory_ms
