"""The order of rows that are mostly in order already: new ones are merged in, not all sorted."""

from collections.abc import Callable

import numpy as np

from pipelines.arrays import Ints
from pipelines.steps.first_at import first_at

Ties = Callable[[Ints], Ints]
"""The order of some rows of equal (key, time), from the rows: positions among them."""


def merge_order(key: Ints, time_ms: Ints, ties: Ties) -> Ints:
    """The rows by (key, time), then as `ties` says; costs little if only the last are new."""
    head = _ordered(key, time_ms)
    tail = head + np.lexsort((time_ms[head:], key[head:]))
    at = first_at(key[:head], time_ms[:head], key[tail], time_ms[tail])
    order = np.empty(len(key), np.int64)
    is_old = np.ones(len(key), np.bool_)
    place = at + np.arange(len(tail))
    is_old[place] = False
    order[place] = tail
    order[is_old] = np.arange(head)
    tied = _tied(key[order], time_ms[order])
    order[tied] = order[tied][ties(order[tied])]
    return order


def _ordered(key: Ints, time_ms: Ints) -> int:
    """How many rows stand in (key, time) order from the first on."""
    falls = (key[1:] < key[:-1]) | ((key[1:] == key[:-1]) & (time_ms[1:] < time_ms[:-1]))
    return int(falls.argmax()) + 1 if falls.any() else len(key)


def _tied(key: Ints, time_ms: Ints) -> Ints:
    """Places whose key and time equal a neighbour's."""
    same = (key[1:] == key[:-1]) & (time_ms[1:] == time_ms[:-1])
    tied = np.zeros(len(key), np.bool_)
    tied[1:] |= same
    tied[:-1] |= same
    return np.flatnonzero(tied)
