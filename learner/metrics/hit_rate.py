"""HR@5: the share of requests with a positive whose best positive is among the top five.

The rank of the best positive is 1 + the number of negatives that score as high or higher: a tie
with a negative is lost, so that a constant scorer earns nothing in lists longer than five.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from learner.metrics.scored import Floats, Ints, Scored, TaskScored
from learner.metrics.sketch import Sketch, ratio, with_total

TOP = 5


@dataclass(frozen=True)
class HitRate(Sketch):
    """Requests with a positive, and those of them that were hit, each [K, S]."""

    hits: Ints
    requests: Ints

    @classmethod
    def of(cls, scored: Scored, tasks: int, columns: int) -> Self:
        """The sums of some samples; `scored` holds whole requests."""
        rows = [_row(scored.task(task), columns) for task in range(tasks)]
        return cls(*(np.stack(column) for column in zip(*rows, strict=True)))

    def result(self) -> Floats:
        """HR@5 [K, S + 1]; NaN where no request has a positive."""
        return ratio(with_total(self.hits), with_total(self.requests))


def _row(task: TaskScored, columns: int) -> tuple[Ints, Ints]:
    n_requests = int(task.request.max()) + 1 if task.request.size else 0
    best = np.full(n_requests, -np.inf)
    np.maximum.at(best, task.request[task.positive], task.logit[task.positive])
    ahead = ~task.positive & (task.logit >= best[task.request])
    rank = 1 + np.bincount(task.request[ahead], minlength=n_requests)
    asked = np.isfinite(best)
    column = np.zeros(n_requests, dtype=np.int64)
    column[task.request] = task.column
    return _count(column[asked & (rank <= TOP)], columns), _count(column[asked], columns)


def _count(column: Ints, columns: int) -> Ints:
    return np.bincount(column, minlength=columns).astype(np.int64)
