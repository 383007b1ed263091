"""The one loop of step 4 that no library has: a binary search by two keys."""

import numpy as np
from numba import njit


@njit(cache=True)
def first_at(users, times, user, time_ms):  # type: ignore[no-untyped-def]
    """The first row of each asked user at or after a time, int64 [asked].

    Rows are in (user, time) order; without such a row, where it would stand.
    """
    found = np.empty(len(user), np.int64)
    for asked in range(len(user)):
        low, high = 0, len(users)
        while low < high:
            middle = (low + high) // 2
            before = users[middle] < user[asked]
            if before or (users[middle] == user[asked] and times[middle] < time_ms[asked]):
                low = middle + 1
            else:
                high = middle
        found[asked] = low
    return found
