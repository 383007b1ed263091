"""Which rows live, in which order they stand, and which runs of them belong together."""

import numpy as np
from numba import njit

LONGEST_LIST = 4096


@njit(cache=True)
def kept_candidates(offsets, item, position, exposed):  # type: ignore[no-untyped-def]
    """The exposed candidates by position, a repeated item once; and which lists are unusable."""
    rows = len(offsets) - 1
    kept = np.empty(len(item), np.int32)
    begin = np.zeros(rows + 1, np.int64)
    bad = np.zeros(rows, np.bool_)
    order = np.empty(LONGEST_LIST, np.int64)
    size = 0
    for row in range(rows):
        first, width = offsets[row], offsets[row + 1] - offsets[row]
        bad[row] = width == 0 or width > len(order)
        for at in range(0 if bad[row] else width):
            place = position[first + at]
            down = at
            while down > 0 and position[first + order[down - 1]] >= place:
                bad[row] |= position[first + order[down - 1]] == place
                order[down] = order[down - 1]
                down -= 1
            order[down] = at
            bad[row] |= place < 0 or place >= 1 << 31 or item[first + at] < 0
        start = size
        for at in range(0 if bad[row] else width):
            one = first + order[at]
            fresh = exposed[one]
            for other in range(start, size):
                fresh &= item[kept[other]] != item[one]
            if fresh:
                kept[size] = one
                size += 1
        begin[row + 1] = size
    return kept[:size], begin, bad


@njit(cache=True)
def earliest(key, time, usable):  # type: ignore[no-untyped-def]
    """Which usable rows are the earliest of their key; and a hash table from key to row."""
    size = 16
    while size < 2 * len(key):
        size *= 2
    table = np.full(size, -1, np.int32)
    alive = usable.copy()
    for row in range(len(key)):
        if not usable[row]:
            continue
        slot = key[row] & (size - 1)
        while table[slot] >= 0 and key[table[slot]] != key[row]:
            slot = (slot + 1) & (size - 1)
        other = table[slot]
        if other >= 0 and time[other] <= time[row]:
            alive[row] = False
            continue
        if other >= 0:
            alive[other] = False
        table[slot] = row
    return alive, table


@njit(cache=True)
def look_up(wanted, key, table):  # type: ignore[no-untyped-def]
    """The row of each wanted key, -1 for none."""
    found = np.empty(len(wanted), np.int64)
    mask = len(table) - 1
    for row in range(len(wanted)):
        slot = wanted[row] & mask
        while table[slot] >= 0 and key[table[slot]] != wanted[row]:
            slot = (slot + 1) & mask
        found[row] = table[slot]
    return found


@njit(cache=True)
def by_user(rows, user, users):  # type: ignore[no-untyped-def]
    """The rows in order of their users, otherwise as they stand; and where each user begins."""
    bounds = np.zeros(users + 1, np.int64)
    for row in rows:
        bounds[user[row] + 1] += 1
    bounds = np.cumsum(bounds)
    place = bounds[:-1].copy()
    order = np.empty(len(rows), np.int64)
    for row in rows:
        order[place[user[row]]] = row
        place[user[row]] += 1
    return order, bounds


@njit(cache=True)
def sequences(user, start, end, bounds, time, history, recent):  # type: ignore[no-untyped-def]
    """Rule 11: begin and end of H and of R of each record, whose users and windows rise."""
    spans = np.empty((len(user), 4), np.int64)
    for record in range(len(user)):
        first, last = bounds[user[record]], bounds[user[record] + 1]
        middle = first + np.searchsorted(time[first:last], start[record])
        stop = middle + np.searchsorted(time[middle:last], end[record])
        spans[record] = (max(first, middle - history), middle, middle, min(stop, middle + recent))
    return spans
