"""Which of several copies of an event lives, and how long it is remembered."""

import hashlib
from io import BytesIO

import fastavro

from schemas.events import avro_schema
from schemas.spec import Spec
from tests.oracle.schedule import Event
from tests.oracle.state import Arrival, Identity, State


def identity_of(spec: Spec, event: Event) -> Identity:
    """Identity: "A request is (user, request id); feedback is (user, stream, event id); a
    retraction carries user, stream and event id of what it cancels. [...] An item event is
    (item, time)"."""
    fields = event.fields
    kind = spec.streams[event.stream].kind
    if kind == "exposure":
        return ("request", fields["user_id"], fields["request_id"])
    if kind == "item":
        return ("item", fields["item_id"], fields["time_ms"])
    if kind == "retraction":
        return ("retraction", fields["user_id"], fields["stream"], fields["event_id"])
    return ("feedback", fields["user_id"], event.stream, fields["event_id"])


def digest(spec: Spec, event: Event) -> bytes:
    """Identity: "the smaller SHA-256 of its Avro datum under the spec's schema"."""
    datum = BytesIO()
    fastavro.schemaless_writer(datum, avro_schema(spec, event.stream), event.fields)
    return hashlib.sha256(datum.getvalue()).digest()


def is_remembered(state: State, identity: Identity, cut_ms: int) -> bool:
    """Identity: "a copy of an event already read at a sealed cut and still remembered"."""
    time_ms = state.known.get(identity)
    return time_ms is not None and time_ms >= state.horizon_of_memory_ms(cut_ms)


def settle_identities(state: State, cut_ms: int) -> list[Arrival]:
    """Credit: "settled once, at the first cut `C ≥ t_e` at which its event has been read".

    Takes what waits for this cut; returns the events that live.
    """
    due = [arrival for arrival in state.waiting if arrival.settle_cut_ms == cut_ms]
    state.waiting = [arrival for arrival in state.waiting if arrival.settle_cut_ms != cut_ms]
    copies: dict[Identity, list[Arrival]] = {}
    for arrival in due:
        copies.setdefault(identity_of(state.spec, arrival.event), []).append(arrival)
    living = []
    for identity, group in copies.items():
        if is_remembered(state, identity, cut_ms):
            state.count("duplicate", len(group))
        else:
            living.append(accept(state, identity, group))
    return living


def accept(state: State, identity: Identity, copies: list[Arrival]) -> Arrival:
    """Identity: "Of events with the same identity the earliest event time lives, then the
    smaller SHA-256 [...]; the others are counted `duplicate`".
    Rule 8: "All that is read late and not refused counts as `late`, by stream"."""
    first = min(copies, key=lambda copy: (copy.time_ms, digest(state.spec, copy.event)))
    state.count("duplicate", len(copies) - 1)
    state.known[identity] = first.time_ms
    state.count(f"accepted/{first.stream}")
    if first.late:
        state.count(f"late/{first.stream}")
    return first
