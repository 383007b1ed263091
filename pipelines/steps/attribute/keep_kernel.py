"""The inner loop over the candidate lists of requests (numba)."""
# mypy: disable-error-code="no-untyped-def"

import numpy as np
from numba import njit

_FEW = 32
"""Up to so many candidates, comparing all pairs is faster than sorting."""


@njit(cache=True)
def kept_candidates(offsets, item, position, exposed, draws, key):
    """Rows kept of each list by position, how many, its repeats, and how many are unexposed.

    Of a list's unexposed candidates those with the `draws` smallest keys are kept, ties to the
    lower position; repeats and unexposed are counted after rule "identity" keeps an item once.
    """
    requests = len(offsets) - 1
    kept = np.empty(len(item), np.int64)
    counts = np.zeros(requests, np.int64)
    repeats = np.zeros(requests, np.int64)
    unexposed = np.zeros(requests, np.int64)
    size = 0
    for request in range(requests):
        begin, end = offsets[request], offsets[request + 1]
        order = begin + np.argsort(position[begin:end], kind="mergesort")
        stays = _first_of_items(order, item, exposed)
        repeats[request] = (end - begin) - np.sum(stays)
        unexposed[request] = _draw(order, stays, exposed, draws[request], key)
        first = size
        for at in range(len(order)):
            if stays[at]:
                kept[size] = order[at]
                size += 1
        counts[request] = size - first
    return kept[:size], counts, repeats, unexposed


@njit(cache=True)
def _first_of_items(order, item, exposed):
    """Which of the rows stay, each item once: the first exposed one, else the first."""
    stays = np.ones(len(order), np.bool_)
    if len(order) <= _FEW:
        for later in range(len(order)):
            for earlier in range(later):
                if stays[earlier] and item[order[earlier]] == item[order[later]]:
                    better = exposed[order[later]] and not exposed[order[earlier]]
                    stays[earlier], stays[later] = not better, better
        return stays
    ranked = np.argsort(item[order], kind="mergesort")
    best = 0
    for at in range(1, len(ranked)):
        if item[order[ranked[at]]] != item[order[ranked[best]]]:
            best = at
        elif exposed[order[ranked[at]]] and not exposed[order[ranked[best]]]:
            stays[ranked[best]] = False
            best = at
        else:
            stays[ranked[at]] = False
    return stays


@njit(cache=True)
def _draw(order, stays, exposed, draws, key):
    """Let go of unexposed rows that are not drawn; returns how many there were."""
    hidden = np.flatnonzero(stays & ~exposed[order])
    if draws == 0:
        stays[hidden] = False
    elif len(hidden) > draws:
        ranked = np.argsort(key[order[hidden]], kind="mergesort")
        stays[hidden[ranked[draws:]]] = False
    return len(hidden)
