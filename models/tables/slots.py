"""Which ids have a slot: given at first need, kept while used, given on when there is none left.

Time is the caller's clock, a whole number that never falls (the learner's: windows begun).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from models.tables.index import IdIndex, Ints, find, insert, insert_all, new_index, remove

NONE = -1
"""No slot."""

LOOK = 32
"""How many slots are compared when one must be given on to a new id."""

SWEEP = 4
"""How many slots are looked at for expiry for each id that asks."""

UNUSED = 1 << 62
"""Stands as the last use of a slot that no id has."""

_ALWAYS = -(1 << 62)
_SIZE, _FREE, _HAND, _BROOM, _REFUSED, _GIVEN_ON, _EXPIRED, _CLOCK, _HEAD = range(9)


class _Arrays(NamedTuple):
    lookup: IdIndex
    ids: Ints
    last_used: Ints
    free: Ints
    head: Ints
    changed: npt.NDArray[np.bool_]
    low: Ints


@dataclass(frozen=True)
class Claimed:
    """`slots`: of each id, -1 where none could be given up; `born`: those that changed hands."""

    slots: Ints
    born: Ints


class Slots:
    """Up to `most` slots, none of which two ids share. Memory is taken as slots come into use.

    An id that was not used for more than `expire_after` ticks of the clock loses its slot. When
    all slots have an id, a new id gets the one used longest ago among the next few under a hand
    that goes round; slots used at the present time are kept, so that it may be refused.
    """

    def __init__(self, most: int, expire_after: int | None = None) -> None:
        self.most, self.expire_after = most, expire_after
        self._arrays = _empty(most)

    def tick(self) -> None:
        """Time goes on by one."""
        self._arrays.head[_CLOCK] += 1

    @property
    def size(self) -> int:
        """All slots from this one on have never had an id."""
        return int(self._arrays.head[_SIZE])

    @property
    def in_use(self) -> int:
        """How many ids have a slot, expired ones that were not met yet among them."""
        return self.size - int(self._arrays.head[_FREE])

    @property
    def counts(self) -> dict[str, int]:
        """How often an id was refused, a slot given on to another id, and an id expired."""
        names = {"refused": _REFUSED, "given_on": _GIVEN_ON, "expired": _EXPIRED}
        return {name: int(self._arrays.head[at]) for name, at in names.items()}

    def known(self, ids: Ints) -> Ints:
        """The slot of each id, -1 for those that have none. Changes nothing."""
        return _known(self._arrays, ids, self._oldest)

    def claim(self, ids: Ints, wanted: npt.NDArray[np.bool_] | None = None) -> Claimed:
        """Give each id a slot and note its use; unknown ids only where they are `wanted`."""
        wanted = np.ones(len(ids), np.bool_) if wanted is None else wanted
        slots, born = _claim(self._arrays, ids, wanted, self._oldest)
        return Claimed(slots, born)

    def ids(self, slots: Ints) -> Ints:
        """The ids that have these slots."""
        return self._arrays.ids[slots]

    @property
    def _oldest(self) -> int:
        """The earliest last use with which an id is not expired."""
        clock = int(self._arrays.head[_CLOCK])
        return _ALWAYS if self.expire_after is None else clock - self.expire_after

    def live(self) -> dict[str, Ints]:
        """All that `take_over` needs, not copied; arrays as long as what is in use."""
        arrays, size = self._arrays, self.size
        return {
            "ids": arrays.ids[:size],
            "last_used": arrays.last_used[:size],
            "free": arrays.free[: int(arrays.head[_FREE])],
            "free_from": np.zeros(1, np.int64),
            "head": arrays.head,
        }

    def changes(self) -> dict[str, Ints]:
        """Copies of what changed since the last call; one byte is read of each other slot.

        `slots`: those that were used, got an id or lost it. `free`: the free ones from the
        `free_from`-th on.
        """
        arrays, n_free = self._arrays, int(self._arrays.head[_FREE])
        slots = np.flatnonzero(arrays.changed[: self.size])
        changes = {
            "slots": slots,
            "ids": arrays.ids[slots],
            "last_used": arrays.last_used[slots],
            "free": arrays.free[int(arrays.low[0]) : n_free].copy(),
            "free_from": arrays.low.copy(),
            "head": arrays.head.copy(),
        }
        arrays.changed[slots] = False
        arrays.low[0] = n_free
        return changes

    def all_changed(self) -> None:
        """Let the next `changes` give everything."""
        self._arrays.changed[: self.size] = True
        self._arrays.low[0] = 0

    def clear(self) -> None:
        """Forget everything, for `take_over`."""
        if self.size:  # Else there is nothing to forget, and room for `most` costs time to swap.
            self._arrays = _empty(self.most)
        self._arrays.head[:] = 0

    def take_over(self, state: Mapping[str, Ints]) -> None:
        """After `clear`: take over what was `live`, then the `changes` made to it; then `end`.

        Raises ValueError if there is no room for it.
        """
        arrays, free_from = self._arrays, int(state["free_from"][0])
        size = int(state["head"][_SIZE])
        if size > self.most:
            raise ValueError(f"expected at most {self.most:,} slots, received {size:,}")
        at = state.get("slots", slice(len(state["ids"])))
        arrays.ids[at] = state["ids"]
        arrays.last_used[at] = state["last_used"]
        arrays.free[free_from : free_from + len(state["free"])] = state["free"]
        arrays.head[:] = state["head"]

    def end(self) -> None:
        """All was taken over: ids are found again. It counts as unchanged."""
        arrays, size = self._arrays, self.size
        there = arrays.last_used[:size] != UNUSED
        insert_all(arrays.lookup, arrays.ids[:size], there)
        arrays.low[0] = arrays.head[_FREE]


def _empty(most: int) -> _Arrays:
    ids, last_used, free = (np.empty(most, np.int64) for _ in range(3))
    head, low = np.zeros(_HEAD, np.int64), np.zeros(1, np.int64)
    return _Arrays(new_index(most), ids, last_used, free, head, np.zeros(most, np.bool_), low)


@njit(cache=True)
def _known(arrays, ids, oldest):  # type: ignore[no-untyped-def]
    slots = np.empty(len(ids), np.int64)
    for at in range(len(ids)):
        slot = find(arrays.lookup, ids[at])
        held = slot != NONE and arrays.last_used[slot] >= oldest
        slots[at] = slot if held else NONE
    return slots


@njit(cache=True)
def _claim(arrays, ids, wanted, oldest):  # type: ignore[no-untyped-def]
    """First all that have a slot, so that none of them is given on; then the others, in turn."""
    slots, born, n_born = np.empty(len(ids), np.int64), np.empty(len(ids), np.int64), 0
    clock = arrays.head[_CLOCK]
    for at in range(len(ids)):
        slot = find(arrays.lookup, ids[at])
        if slot != NONE:
            if arrays.last_used[slot] < oldest:
                if not wanted[at]:
                    slots[at] = NONE
                    continue
                born[n_born] = slot
                n_born += 1
                arrays.head[_EXPIRED] += 1
            arrays.last_used[slot] = clock
            arrays.changed[slot] = True
        slots[at] = slot
    _sweep(arrays, SWEEP * len(ids), oldest)
    for at in range(len(ids)):
        if slots[at] == NONE and wanted[at]:
            slot = find(arrays.lookup, ids[at])
            if slot == NONE:
                slot = _give(arrays, ids[at], clock)
                if slot != NONE:
                    born[n_born] = slot
                    n_born += 1
            slots[at] = slot
    return slots, born[:n_born]


@njit(cache=True)
def _give(arrays, one, clock):  # type: ignore[no-untyped-def]
    """A slot for a new id: one that was freed, one never used, or one given on; else -1."""
    head = arrays.head
    if head[_FREE] > 0:
        head[_FREE] -= 1
        arrays.low[0] = min(arrays.low[0], head[_FREE])
        slot = arrays.free[head[_FREE]]
    elif head[_SIZE] < len(arrays.ids):
        slot = head[_SIZE]
        head[_SIZE] += 1
    else:
        slot = _longest_unused(arrays, clock)
        if slot == NONE:
            head[_REFUSED] += 1
            return NONE
        head[_GIVEN_ON] += 1
        remove(arrays.lookup, arrays.ids[slot])
    insert(arrays.lookup, one, slot)
    arrays.ids[slot] = one
    arrays.last_used[slot] = clock
    arrays.changed[slot] = True
    return slot


@njit(cache=True)
def _longest_unused(arrays, clock):  # type: ignore[no-untyped-def]
    chosen, most = NONE, len(arrays.ids)
    for _ in range(min(LOOK, most)):
        slot = arrays.head[_HAND]
        arrays.head[_HAND] = (slot + 1) % most
        used = arrays.last_used[slot]
        if used < clock and (chosen == NONE or used < arrays.last_used[chosen]):
            chosen = slot
    return chosen


@njit(cache=True)
def _sweep(arrays, steps, oldest):  # type: ignore[no-untyped-def]
    """Free the expired among the next few slots."""
    head, last_used = arrays.head, arrays.last_used
    if oldest == _ALWAYS or head[_SIZE] == 0:
        return
    for _ in range(min(steps, head[_SIZE])):
        slot = head[_BROOM] % head[_SIZE]
        head[_BROOM] = slot + 1
        if last_used[slot] < oldest:
            remove(arrays.lookup, arrays.ids[slot])
            last_used[slot] = UNUSED
            arrays.changed[slot] = True
            arrays.free[head[_FREE]] = slot
            head[_FREE] += 1
            head[_EXPIRED] += 1
