"""Rules 4, 5 and 7 on chains of events."""

import numpy as np
from numba import njit

NEVER = 1 << 62


@njit(cache=True)
def label_at(cut, head, following, settle, withdrawn):  # type: ignore[no-untyped-def]
    """The first event of a chain that stands at a cut; -1 for none."""
    shown = -1
    while head >= 0:
        if settle[head] <= cut < withdrawn[head]:
            shown = head
        head = following[head]
    return shown


@njit(cache=True)
def settle_labels(shown, pairs, cuts, heads, following, settle, withdrawn):  # type: ignore[no-untyped-def]
    """Rule 4 at the samples' own cuts, for labels that hold more than one standing event."""
    for at in range(len(pairs)):
        sample, task = pairs[at] >> 1, pairs[at] & 1
        shown[task][sample] = label_at(cuts[at], heads[task][sample], following, settle, withdrawn)


@njit(cache=True)
def revise(pairs, sealed_at, heads, following, settle, withdrawn):  # type: ignore[no-untyped-def]
    """Rule 5 for samples whose labels may change: rows of
    (pair, cut, old event, new event, cut of old, whether an event was withdrawn)."""
    rows = np.empty((4 * len(pairs) + 16, 6), np.int64)
    count = 0
    for at in range(len(pairs)):
        sample, task = pairs[at] >> 1, pairs[at] & 1
        shown_at = sealed_at[at]
        old = label_at(shown_at, heads[task][sample], following, settle, withdrawn)
        cut = shown_at
        while True:
            after, fell = np.int64(NEVER), np.int64(-1)
            c = heads[task][sample]
            while c >= 0:
                if cut < settle[c] < after:
                    after = settle[c]
                if cut < withdrawn[c] <= after:
                    after, fell = withdrawn[c], withdrawn[c]
                c = following[c]
            if after == NEVER:
                break
            cut = after
            new = label_at(cut, heads[task][sample], following, settle, withdrawn)
            if new != old:
                if count == len(rows):
                    rows = np.concatenate((rows, np.empty_like(rows)))
                rows[count] = (pairs[at], cut, old, new, shown_at, np.int64(fell == cut))
                count += 1
                old, shown_at = new, cut
    return rows[:count]
