"""Purchases, clicks and refunds → actions: validated, distinct, in order, retracted or not."""

from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc

from benchmarks.by_hand.arrays import Array, Bools, Ints
from benchmarks.by_hand.cuts import cut_after
from benchmarks.by_hand.kernels.labels import NEVER
from benchmarks.by_hand.kernels.rows import earliest, look_up
from benchmarks.by_hand.legal import (
    ID_LIMIT_BYTES,
    TEXT_LIMIT_BYTES,
    legal_text,
    legal_times,
    places,
)
from benchmarks.by_hand.names import TASKS
from benchmarks.by_hand.order import in_order, mix
from benchmarks.by_hand.read import Events
from benchmarks.by_hand.words import words_of
from schemas.hashing import hash_strings
from schemas.spec import Spec


@dataclass(frozen=True)
class Actions:
    """Usable, distinct feedback in (user, time, stream, event id) order."""

    row: Ints
    task: Array
    time_ms: Ints
    item: Array
    place: Array
    request: Ints
    named: Bools
    fall_ms: Ints
    fall_cut: Ints
    bounds: Ints


def take_actions(events: Events, spec: Spec) -> Actions:
    """Validate and deduplicate feedback, put it in order, find what was retracted."""
    table, users, items = events.feedback, events.user[1], events.item[1]
    task = np.repeat([1, 0], [len(table) - _clicks(events), _clicks(events)]).astype(np.int8)
    place, time_ms = places(table["scenario"], spec), table["time_ms"].to_numpy()
    key = mix(users.codes * 2 + task, hash_strings(table["event_id"]))
    alive, slots = earliest(key, time_ms, _usable(events, place))
    rank = events.rank[users.codes]
    order, bounds = in_order(alive, rank, time_ms, table["event_id"], len(events.rank))
    fall_ms, fall_cut = _falls(events, key, slots, time_ms, spec)
    return Actions(
        row=order,
        task=task[order],
        time_ms=time_ms[order],
        item=items.codes[order],
        place=place[order],
        request=hash_strings(table["request_id"])[order],
        named=table["request_id"].is_valid().to_numpy()[order],
        fall_ms=fall_ms[order],
        fall_cut=fall_cut[order],
        bounds=bounds,
    )


def _usable(events: Events, place: Ints) -> Bools:
    table, users, items = events.feedback, events.user[1], events.item[1]
    usable = legal_times(table) & users.legal(ID_LIMIT_BYTES, 1) & items.legal(ID_LIMIT_BYTES, 1)
    usable &= (place >= 0) | table["scenario"].is_null().to_numpy()
    usable &= legal_text(table["event_id"]) & legal_text(table["request_id"].fill_null("-"))
    usable &= words_of(table["category"]).legal(TEXT_LIMIT_BYTES)
    return usable & pc.is_finite(table["value"]).fill_null(True).to_numpy()


def _clicks(events: Events) -> int:
    return int(pc.sum(events.feedback["value"].is_null()).as_py())


def _falls(events: Events, key: Ints, slots: Array, time_ms: Ints, spec: Spec) -> tuple[Ints, Ints]:
    """When each action's first retraction acts and at which cut; NEVER without one."""
    table, users = events.refunds, events.user[2]
    stream = words_of(table["stream"])
    task = np.array([TASKS.index(name) for name in stream.values.to_pylist()])[stream.codes]
    refund = mix(users.codes * 2 + task, hash_strings(table["event_id"]))
    refund_ms = table["time_ms"].to_numpy()
    usable = legal_times(table) & users.legal(ID_LIMIT_BYTES, 1) & legal_text(table["event_id"])
    alive, _ = earliest(refund, refund_ms, usable)
    action = look_up(refund, key, slots)
    met = np.flatnonzero(alive & (action >= 0))
    met = met[time_ms[action[met]] <= refund_ms[met] + spec.memory_ms]
    fall_ms = np.full(len(key), NEVER)
    fall_cut = np.full(len(key), NEVER)
    fall_ms[action[met]] = np.maximum(refund_ms[met], time_ms[action[met]])
    fall_cut[action[met]] = cut_after(fall_ms[action[met]], spec)
    return fall_ms, fall_cut
