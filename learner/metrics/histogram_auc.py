"""Area under the ROC curve from a histogram of logits: mergeable, 10,000 bins.

Scores of rare events crowd near 0, so bins are equal in logit space, where they spread.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from learner.metrics.scored import Floats, Ints, Scored, TaskScored
from learner.metrics.sketch import Sketch, ratio

BINS = 10_000
LOGIT_RANGE = 16.0
"""Logits beyond ±16 (a probability within 1.2e-7 of 0 or 1) share the outermost bins."""


@dataclass(frozen=True)
class HistogramAuc(Sketch):
    """Counts by class and logit bin. `AUC = Σ_b pos_b (Σ_{c<b} neg_c + neg_b / 2) / (P N)`.

    Samples in one bin count as tied, an error of at most the share of pairs within one bin.
    """

    counts: Ints
    """int64 [K, S, 2, BINS]; class 1 is positive."""

    @classmethod
    def of(cls, scored: Scored, tasks: int, columns: int) -> Self:
        """The histogram of some samples."""
        counts = [_histogram(scored.task(task), columns) for task in range(tasks)]
        return cls(np.stack(counts).reshape(tasks, columns, 2, BINS))

    def result(self) -> Floats:
        """AUC [K, S + 1]; NaN where a class is empty."""
        total = self.counts.sum(axis=1, keepdims=True)
        return _auc(np.concatenate([self.counts, total], axis=1))


def _histogram(task: TaskScored, columns: int) -> Ints:
    scaled = (task.logit + LOGIT_RANGE) * (BINS / (2 * LOGIT_RANGE))
    bins = np.clip(scaled, 0, BINS - 1).astype(np.int64)
    cell = (task.column * 2 + task.positive) * BINS + bins
    return np.bincount(cell, minlength=columns * 2 * BINS).astype(np.int64)


def _auc(counts: Ints) -> Floats:
    negative, positive = counts[..., 0, :].astype(float), counts[..., 1, :].astype(float)
    below = np.cumsum(negative, axis=-1) - negative
    wins = (positive * (below + negative / 2)).sum(axis=-1)
    return ratio(wins, positive.sum(axis=-1) * negative.sum(axis=-1))
