"""Rule "identity": of events with one identity the earliest lives, the others are duplicates."""

from collections.abc import Callable

import numpy as np
from numba import njit

from pipelines.arrays import Bools, Ints
from pipelines.steps.key_set import among, repeated

ALIVE, DUPLICATE, TIED = 0, 1, 2

Digests = Callable[[Ints], list[bytes]]
"""SHA-256 of the Avro datums of some of the new rows."""


def survivors(
    old: tuple[Ints, Ints],
    new: tuple[Ints, Ints, Ints],
    reach_ms: int,
    digests: Digests,
    dead: tuple[Bools, Bools] | None = None,
) -> Bools:
    """Which of the new events live.

    `old` holds key and time of living events of earlier cuts; `new` holds key, time and
    settling cut. An event is remembered at its successor's cut `C` if `t ≥ C - reach_ms`
    (reach = window length + memory); those that `dead` marks, old and new, only if `t >`.
    Ties of time go to the smaller digest. Shape [new].
    """
    old_key, old_time = old
    new_key, new_time, settle = new
    suspects = np.flatnonzero(repeated(old_key, new_key))
    alive = np.ones(len(new_key), np.bool_)
    if not len(suspects):
        return alive
    remembered = np.flatnonzero(among(old_key, new_key[suspects]))
    key = np.concatenate([old_key[remembered], new_key[suspects]])
    time = np.concatenate([old_time[remembered], new_time[suspects]])
    cut = np.concatenate([np.full(len(remembered), -(1 << 62)), settle[suspects]])
    kept = time.copy()
    if dead is not None:
        kept -= np.concatenate([dead[0][remembered], dead[1][suspects]])
    order = np.lexsort((time, cut, key))
    verdict = _judge(key[order], time[order], kept[order], cut[order], reach_ms)
    _break_ties(verdict, order - len(remembered), suspects, key[order], time[order], digests)
    judged = np.empty(len(key), np.int64)
    judged[order] = verdict
    alive[suspects] = judged[len(remembered) :] == ALIVE
    return alive


@njit(cache=True)
def _judge(key, time, kept, cut, reach_ms):  # type: ignore[no-untyped-def]
    verdict = np.zeros(len(key), np.int64)
    start = 0
    while start < len(key):
        stop = start
        while stop < len(key) and key[stop] == key[start]:
            stop += 1
        lives = -(1 << 62)
        row = start
        while row < stop and cut[row] == -(1 << 62):
            lives = kept[row]
            row += 1
        while row < stop:
            end = row
            while end < stop and cut[end] == cut[row]:
                end += 1
            first = row
            if lives < cut[row] - reach_ms:
                lives = kept[row]
                while first < end and time[first] == time[row]:
                    first += 1
                if first - row > 1:
                    verdict[row:first] = 2
            verdict[first:end] = 1
            row = end
        start = stop
    return verdict


def _break_ties(
    verdict: Ints, new_rows: Ints, suspects: Ints, key: Ints, time: Ints, digests: Digests
) -> None:
    tied = np.flatnonzero(verdict == TIED)
    if not len(tied):
        return
    texts = np.array(digests(suspects[new_rows[tied]]), dtype="S32")
    order = np.lexsort((texts, time[tied], key[tied]))
    ranked = tied[order]
    first = np.ones(len(ranked), np.bool_)
    first[1:] = (key[ranked][1:] != key[ranked][:-1]) | (time[ranked][1:] != time[ranked][:-1])
    verdict[ranked] = np.where(first, ALIVE, DUPLICATE)
