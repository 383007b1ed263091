"""Rules 11 and 12: records of users and windows."""

from dataclasses import dataclass

import numpy as np

from benchmarks.by_hand.actions import Actions
from benchmarks.by_hand.arrays import Ints
from benchmarks.by_hand.kernels.rows import sequences
from benchmarks.by_hand.read import Events
from benchmarks.by_hand.requests import Requests
from schemas.hashing import hash_strings, shard_of
from schemas.spec import Spec


@dataclass(frozen=True)
class Records:
    """One record a user and window: its first request, H and R.

    `order` is (window, shard, user).
    """

    user: Ints
    start_ms: Ints
    first: Ints
    spans: Ints
    shard: Ints
    order: Ints


def fold(requests: Requests, actions: Actions, events: Events, shards: int, spec: Spec) -> Records:
    """Rules 11 and 12: one record for each run of requests of one user and window."""
    length_ms = spec.window.length_ms
    start_ms = requests.time_ms // length_ms * length_ms
    fresh = np.ones(len(start_ms), np.bool_)
    fresh[1:] = (np.diff(start_ms) != 0) | (np.diff(requests.user) != 0)
    first = np.flatnonzero(fresh)
    user, start_ms = requests.user[first], start_ms[first]
    kept = (spec.sequences.history, spec.sequences.recent)
    spans = sequences(user, start_ms, start_ms + length_ms, actions.bounds, actions.time_ms, *kept)
    shard = shard_of(hash_strings(events.user[0].values), shards)[events.by_rank]
    window = start_ms // length_ms - start_ms.min() // length_ms
    order = np.argsort(window * shards + shard[user], kind="stable")
    return Records(user, start_ms, np.append(first, len(requests.row)), spans, shard, order)
