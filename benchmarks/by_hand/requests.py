"""Exposures → requests: validated, distinct, in order, with their exposed candidates."""

from dataclasses import dataclass

from benchmarks.by_hand.arrays import Array, Bools, Ints
from benchmarks.by_hand.kernels.rows import earliest, kept_candidates
from benchmarks.by_hand.legal import ID_LIMIT_BYTES, legal_features, legal_text, legal_times, places
from benchmarks.by_hand.order import in_order, mix
from benchmarks.by_hand.read import Events
from schemas.hashing import hash_strings
from schemas.spec import Spec


@dataclass(frozen=True)
class Requests:
    """Usable, distinct requests in (user, time, id) order, and where their samples lie."""

    row: Ints
    user: Ints
    time_ms: Ints
    key: Ints
    place: Ints
    begin: Ints
    end: Ints
    bounds: Ints
    kept: Array
    item: Array


def take_requests(events: Events, spec: Spec) -> Requests:
    """Validate and deduplicate exposures, put them in order, keep what was exposed."""
    shown, candidates, users = events.shown, events.candidates, events.user[0]
    position = candidates["position"].fill_null(-1).to_numpy()
    exposed = candidates["exposed"].fill_null(True).to_numpy()
    item = events.item[0].codes
    kept, begin, bad = kept_candidates(events.offsets, item, position, exposed)
    place = places(shown["scenario"], spec)
    usable = ~bad & (place >= 0) & _legal(events)
    time_ms, key = shown["time_ms"].to_numpy(), hash_strings(shown["request_id"])
    alive, _ = earliest(mix(users.codes, key), time_ms, usable)
    rank = events.rank[users.codes]
    order, bounds = in_order(alive, rank, time_ms, shown["request_id"], len(events.rank))
    return Requests(
        row=order,
        user=rank[order],
        time_ms=time_ms[order],
        key=key[order],
        place=place[order],
        begin=begin[:-1][order],
        end=begin[1:][order],
        bounds=bounds,
        kept=kept,
        item=item[kept],
    )


def _legal(events: Events) -> Bools:
    shown, users = events.shown, events.user[0]
    legal = legal_times(shown) & legal_text(shown["request_id"]) & users.legal(ID_LIMIT_BYTES, 1)
    return legal & legal_features(events)
