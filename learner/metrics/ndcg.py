"""NDCG@10: how near the top the positives of a request stand, discounted by rank.

`DCG = Σ_{rank ≤ 10} y / log₂(rank + 1)`, divided by the DCG of the best possible order (Järvelin
and Kekäläinen 2002; Burges et al. 2005). Tied candidates share the mean of their ranks' discounts
(McSherry and Najork 2008), so that a constant scorer earns what chance would.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from learner.metrics.scored import Bools, Floats, Ints, Scored, TaskScored
from learner.metrics.sketch import Sketch, ratio, with_total

TOP = 10


@dataclass(frozen=True)
class Ndcg(Sketch):
    """The sum over requests with a positive, and their number, each [K, S]."""

    gained: Floats
    requests: Ints

    @classmethod
    def of(cls, scored: Scored, tasks: int, columns: int) -> Self:
        """The sums of some samples; `scored` holds whole requests."""
        rows = [_row(scored.task(task), columns) for task in range(tasks)]
        return cls(*(np.stack(column) for column in zip(*rows, strict=True)))

    def result(self) -> Floats:
        """NDCG@10 [K, S + 1]; NaN where no request has a positive."""
        return ratio(with_total(self.gained), with_total(self.requests))


def _row(task: TaskScored, columns: int) -> tuple[Floats, Ints]:
    gained, positives, request = ndcg_by_request(task.logit, task.positive, task.request)
    asked = positives > 0
    place = np.zeros(int(task.request.max()) + 1 if task.request.size else 0, dtype=np.int64)
    place[task.request] = task.column
    column = place[request[asked]]
    return (
        np.bincount(column, gained[asked], minlength=columns).astype(np.float64),
        np.bincount(column, minlength=columns).astype(np.int64),
    )


def ndcg_by_request(score: Floats, positive: Bools, request: Ints) -> tuple[Floats, Ints, Ints]:
    """NDCG@10, positives and number of every request; NDCG is 0 where there is no positive."""
    order = np.lexsort((-score, request))
    score, positive, request = score[order], positive[order], request[order]
    starts = np.flatnonzero(np.diff(request, prepend=-1) != 0)
    rank = np.arange(len(score)) - np.repeat(starts, np.diff(np.append(starts, len(score))))
    share = _shared(_discount(rank), request, score)
    if not len(score):
        return np.empty(0), np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    dcg = np.add.reduceat(share * positive, starts)
    positives = np.add.reduceat(positive, starts, dtype=np.int64)
    best = np.concatenate(([0.0], np.cumsum(_discount(np.arange(TOP)))))[np.minimum(positives, TOP)]
    return np.nan_to_num(ratio(dcg, best)), positives, request[starts]


def _discount(rank: Ints) -> Floats:
    """1 / log₂(rank + 2) of 0-based ranks, 0 below the top."""
    discount: Floats = np.where(rank < TOP, 1 / np.log2(rank + 2.0), 0.0)
    return discount


def _shared(discount: Floats, request: Ints, score: Floats) -> Floats:
    """The mean discount of each run of equal scores within a request."""
    changed = np.ones(len(score), dtype=np.bool_)
    changed[1:] = (request[1:] != request[:-1]) | (score[1:] != score[:-1])
    starts = np.flatnonzero(changed)
    sizes = np.diff(np.append(starts, len(score)))
    sums = np.add.reduceat(discount, starts) if len(score) else discount
    return np.repeat(sums / sizes, sizes)
