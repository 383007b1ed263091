"""The order that a window's records stand in (rule 12), and the times that they may hold."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.windows.flat import BoolArray, Int64Array, numbers
from schemas.windows.packed import PackedRequests, PackedSamples, PackedSequence, PackedUsers

Key: TypeAlias = Any
"""One sort key: a numpy or an Arrow array, shape [n]."""

Broken = dict[str, int]
"""How many rows break each rule, by what the rule expects; 0 where none does."""


def broken_user_rules(packed: PackedUsers, start_ms: int, end_ms: int) -> Broken:
    """What a batch of users of the window `[start_ms, end_ms)` breaks."""
    recent, history = packed.recent, packed.history
    return _count(
        {
            "the window's start in every record": packed.window_start_ms == start_ms,
            "a request of every user": np.diff(packed.requests.offsets) > 0,
            "requests within the window": _within(packed.requests.time_ms, start_ms, end_ms),
            "requests by time, native ones by id, then pseudo ones": _requests(packed.requests),
            "candidates by position": _candidates(packed.samples),
            "history by time": _by_time(history),
            "history before the window": history.time_ms < start_ms,
            "recent actions by time": _by_time(recent),
            "recent actions within the window": _within(recent.time_ms, start_ms, end_ms),
        }
    )


def broken_revision_rules(table: pa.Table, start_ms: int) -> Broken:
    """What one shard's revisions, carried by the window of `start_ms`, break."""
    names = ("window_start_ms", "user_id", "request_time_ms", "request_id", "item_id", "task")
    keys = [table.column(name).combine_chunks() for name in names]
    by_item = in_order(keys[4:], strict=True)
    return _count(
        {
            "revisions of earlier windows": numbers(keys[0]) < start_ms,
            "revisions by window, user and request time": in_order(keys[:3]),
            "revisions of one request by item and task": by_item | ~_equal(keys[:4]),
        }
    )


def in_order(keys: Sequence[Key], strict: bool = False) -> BoolArray:
    """Whether each row but the last does not sort after the next one, shape [n - 1].

    Keys are compared one after the other, strings by their bytes. Strict: nor equals it.
    """
    before = np.zeros(max(len(keys[0]) - 1, 0), dtype=np.bool_)
    equal = np.ones_like(before)
    for key in keys:
        before |= equal & _flags(pc.less(*_neighbours(key)))
        equal &= _equal([key])
    return before if strict else before | equal


def _requests(requests: PackedRequests) -> BoolArray:
    """Of pseudo requests only the place after native ones is known: their source is not kept."""
    native = pc.equal(requests.domain, requests.origin_domain)
    native_id = pc.if_else(native, requests.id, "")
    pseudo = pc.cast(pc.invert(native), pa.int8())
    return in_order([_rows(requests.offsets), requests.time_ms, pseudo, native_id])


def _candidates(samples: PackedSamples) -> BoolArray:
    return in_order([_rows(samples.offsets), samples.position], strict=True)


def _by_time(sequence: PackedSequence) -> BoolArray:
    return in_order([_rows(sequence.offsets), sequence.time_ms])


def _within(time_ms: Int64Array, start_ms: int, end_ms: int) -> BoolArray:
    return (start_ms <= time_ms) & (time_ms < end_ms)


def _rows(offsets: Int64Array) -> Int64Array:
    """The row that each entry belongs to."""
    return np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))


def _equal(keys: Sequence[Key]) -> BoolArray:
    """Whether each row but the last equals the next one in all keys."""
    flags = [_flags(pc.equal(*_neighbours(key))) for key in keys]
    return np.asarray(np.logical_and.reduce(flags))


def _neighbours(key: Key) -> tuple[pa.Array, pa.Array]:
    array = pa.array(key) if isinstance(key, np.ndarray) else key
    return array[:-1], array[1:]


def _flags(array: pa.BooleanArray) -> BoolArray:
    return numbers(array).astype(np.bool_, copy=False)


def _count(kept: Mapping[str, BoolArray]) -> Broken:
    return {rule: int(np.count_nonzero(~rows)) for rule, rows in kept.items()}
