"""A binary search by two keys (numba)."""

import numpy as np
from numba import njit


@njit(cache=True)
def first_at(keys, times, key, time_ms):  # type: ignore[no-untyped-def]
    """The first row of each asked key at or after a time, int64 [asked].

    Rows are in (key, time) order; without such a row, where it would stand.
    """
    found = np.empty(len(key), np.int64)
    for asked in range(len(key)):
        low, high = 0, len(keys)
        while low < high:
            middle = (low + high) // 2
            before = keys[middle] < key[asked]
            if before or (keys[middle] == key[asked] and times[middle] < time_ms[asked]):
                low = middle + 1
            else:
                high = middle
        found[asked] = low
    return found
