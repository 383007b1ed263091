"""Ids to slots without collisions, on the host: extendible hashing (Fagin et al. 1979) in numba.

Entries lie in segments of equal size. A directory, addressed by the first bits of an id's hash,
names the segment; a full segment is split in two, and only the directory, one number a segment,
ever doubles. So an insertion never moves more than a segment, however large the index is. Memory
for the greatest size is reserved, and the system gives it page by page as segments come into use.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

Ints = npt.NDArray[np.int64]

SEGMENT = 1024
"""Slots of a segment, a power of two."""

_LIMIT = SEGMENT * 3 // 4
_NONE = -1
_DEPTH, _SEGMENTS = 0, 1


class IdIndex(NamedTuple):
    """The arrays of an index; the functions of this module work on it."""

    directory: Ints
    """int64 [at least 2^depth]: the segment for each prefix of the hash."""
    depths: Ints
    """int64 [segments]: how many bits of the hash all entries of a segment share."""
    used: Ints
    """int64 [segments]: the entries of a segment."""
    entries: Ints
    """int64 [segments, SEGMENT, 2]: id and slot; slot -1 is nothing."""
    head: Ints
    """int64 [2]: depth of the directory, segments in use."""


def new_index(most: int) -> IdIndex:
    """An empty index for up to `most` ids."""
    segments = 4 * most // SEGMENT + 16
    prefixes = 1 << (8 * segments - 1).bit_length()
    index = IdIndex(
        directory=np.zeros(prefixes, np.int64),
        depths=np.zeros(segments, np.int64),
        used=np.zeros(segments, np.int64),
        entries=np.empty((segments, SEGMENT, 2), np.int64),
        head=np.array([1, 1], np.int64),
    )
    index.entries[0] = _NONE
    return index


@njit(cache=True)
def insert_all(index, ids, there):  # type: ignore[no-untyped-def]
    """Give each of these ids, where it is `there`, its place as its slot; the index is empty.

    Ids and slots are first sorted by segment, so that memory is met in order: several times as
    fast as `insert` for each. All segments have the same depth, the least at which none is
    overfull.
    """
    hashes, n = np.empty(len(ids), np.uint64), 0
    for slot in range(len(ids)):
        hashes[slot] = _hash(ids[slot])
        n += there[slot]
    depth = 1
    while (n >> depth) > _LIMIT:
        depth += 1
    starts = _starts(hashes, there, depth)
    while np.max(np.diff(starts)) > _LIMIT:
        depth += 1
        starts = _starts(hashes, there, depth)
    _make_even(index, depth)
    sorted_ids, slots, ends = np.empty(n, np.int64), np.empty(n, np.int64), starts.copy()
    for slot in range(len(ids)):
        if there[slot]:
            segment = hashes[slot] >> np.uint64(64 - depth)
            sorted_ids[ends[segment]], slots[ends[segment]] = ids[slot], slot
            ends[segment] += 1
    for segment in range(1 << depth):
        for at in range(starts[segment], starts[segment + 1]):
            _put(index, segment, _hash(sorted_ids[at]), sorted_ids[at], slots[at])


@njit(cache=True)
def find(index, one):  # type: ignore[no-untyped-def]
    """The slot of an id, or -1."""
    hashed = _hash(one)
    entries = index.entries[index.directory[hashed >> np.uint64(64 - index.head[_DEPTH])]]
    at = np.int64(hashed & np.uint64(SEGMENT - 1))
    while entries[at, 1] != _NONE:
        if entries[at, 0] == one:
            return entries[at, 1]
        at = (at + 1) & (SEGMENT - 1)
    return _NONE


@njit(cache=True)
def insert(index, one, slot):  # type: ignore[no-untyped-def]
    """Give an id, which must not be there, its slot."""
    hashed = _hash(one)
    segment = index.directory[hashed >> np.uint64(64 - index.head[_DEPTH])]
    while index.used[segment] >= _LIMIT:
        _split(index, segment, hashed)
        segment = index.directory[hashed >> np.uint64(64 - index.head[_DEPTH])]
    _put(index, segment, hashed, one, slot)


@njit(cache=True)
def remove(index, one):  # type: ignore[no-untyped-def]
    """Forget an id, which must be there; those that were pushed aside by it move back."""
    hashed = _hash(one)
    segment = index.directory[hashed >> np.uint64(64 - index.head[_DEPTH])]
    entries, mask = index.entries[segment], SEGMENT - 1
    hole = np.int64(hashed & np.uint64(mask))
    while entries[hole, 0] != one:
        hole = (hole + 1) & mask
    index.used[segment] -= 1
    at = hole
    while True:
        at = (at + 1) & mask
        if entries[at, 1] == _NONE:
            break
        home = np.int64(_hash(entries[at, 0]) & np.uint64(mask))
        if ((at - home) & mask) >= ((at - hole) & mask):
            entries[hole] = entries[at]
            hole = at
    entries[hole] = _NONE


@njit(cache=True)
def _hash(one):  # type: ignore[no-untyped-def]
    mixed = np.uint64(one) + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


@njit(cache=True)
def _put(index, segment, hashed, one, slot):  # type: ignore[no-untyped-def]
    entries = index.entries[segment]
    at = np.int64(hashed & np.uint64(SEGMENT - 1))
    while entries[at, 1] != _NONE:
        at = (at + 1) & (SEGMENT - 1)
    entries[at, 0] = one
    entries[at, 1] = slot
    index.used[segment] += 1


@njit(cache=True)
def _starts(hashes, there, depth):  # type: ignore[no-untyped-def]
    """Where each segment's ids begin if there are 2^depth segments, and where the last ends."""
    starts = np.zeros((1 << depth) + 1, np.int64)
    for slot in range(len(hashes)):
        if there[slot]:
            starts[np.int64(hashes[slot] >> np.uint64(64 - depth)) + 1] += 1
    return np.cumsum(starts)


@njit(cache=True)
def _make_even(index, depth):  # type: ignore[no-untyped-def]
    """Segments of one depth, all empty."""
    size = 1 << depth
    if size > len(index.used) or size > len(index.directory):
        raise ValueError("expected hashes that differ early, received many alike")
    index.head[_DEPTH], index.head[_SEGMENTS] = depth, size
    for segment in range(size):
        index.directory[segment] = segment
        index.depths[segment], index.used[segment] = depth, 0
        index.entries[segment] = _NONE


@njit(cache=True)
def _split(index, segment, hashed):  # type: ignore[no-untyped-def]
    """Share a segment's entries between it and a new one, by the next bit of their hashes."""
    depth = index.depths[segment]
    if depth == index.head[_DEPTH]:
        _double(index)
    other = index.head[_SEGMENTS]
    if other == len(index.used):
        raise ValueError("expected room for another segment, received an index that is full")
    index.head[_SEGMENTS] += 1
    index.depths[segment] = index.depths[other] = depth + 1
    span = 1 << (index.head[_DEPTH] - depth)
    first = np.int64(hashed >> np.uint64(64 - index.head[_DEPTH])) & ~(span - 1)
    index.directory[first + span // 2 : first + span] = other
    before = index.entries[segment].copy()
    index.entries[segment] = index.entries[other] = _NONE
    index.used[segment] = index.used[other] = 0
    for at in range(SEGMENT):
        if before[at, 1] != _NONE:
            moved = _hash(before[at, 0])
            bit = (moved >> np.uint64(63 - depth)) & np.uint64(1)
            home = other if bit else segment
            _put(index, home, moved, before[at, 0], before[at, 1])


@njit(cache=True)
def _double(index):  # type: ignore[no-untyped-def]
    size = 1 << index.head[_DEPTH]
    if 2 * size > len(index.directory):
        raise ValueError("expected hashes that differ early, received many alike")
    for at in range(size - 1, -1, -1):
        index.directory[2 * at] = index.directory[2 * at + 1] = index.directory[at]
    index.head[_DEPTH] += 1
