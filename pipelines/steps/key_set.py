"""Sets of well-spread 64-bit keys (numba): open addressing in a table of twice the size."""
# mypy: disable-error-code="no-untyped-def"

import numpy as np
from numba import njit

from pipelines.arrays import Bools, Ints

_SPREAD = np.uint64(0x9E3779B97F4A7C15)


def among(keys: Ints, wanted: Ints) -> Bools:
    """Which of the keys are wanted, shape [keys]; takes room for the wanted ones only."""
    if not len(wanted):
        return np.zeros(len(keys), np.bool_)
    found: Bools = _among(keys, wanted)
    return found


def repeated(old: Ints, new: Ints) -> Bools:
    """Which new keys occur twice among themselves, or are among the old ones, shape [new]."""
    twice: Bools = _repeated(old, new)
    return twice


@njit(cache=True)
def _table(keys):
    """The first row of each distinct key, or -1 in an empty slot; and how to find a slot."""
    bits = 4
    while (1 << bits) < 2 * len(keys):
        bits += 1
    slots = np.full(1 << bits, -1, np.int64)
    shift = np.uint64(64 - bits)
    return slots, shift


@njit(cache=True)
def _slot(key, keys, slots, shift):
    """Where a key stands in the table, or would stand."""
    at = np.int64((np.uint64(key) * _SPREAD) >> shift)
    while slots[at] >= 0 and keys[slots[at]] != key:
        at = (at + 1) & (len(slots) - 1)
    return at


@njit(cache=True)
def _among(keys, wanted):
    slots, shift = _table(wanted)
    for row in range(len(wanted)):
        slots[_slot(wanted[row], wanted, slots, shift)] = row
    found = np.zeros(len(keys), np.bool_)
    for row in range(len(keys)):
        found[row] = slots[_slot(keys[row], wanted, slots, shift)] >= 0
    return found


@njit(cache=True)
def _repeated(old, new):
    slots, shift = _table(new)
    twice = np.zeros(len(new), np.bool_)
    for row in range(len(new)):
        at = _slot(new[row], new, slots, shift)
        if slots[at] < 0:
            slots[at] = row
        else:
            twice[slots[at]] = twice[row] = True
    for row in range(len(old)):
        at = _slot(old[row], new, slots, shift)
        if slots[at] >= 0:
            twice[slots[at]] = True
    for row in range(len(new)):
        twice[row] = twice[slots[_slot(new[row], new, slots, shift)]]
    return twice
