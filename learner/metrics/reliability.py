"""The reliability curve: how often what was predicted happened, by groups of equal size.

Read off the histogram of logits that AUC is computed from, so it merges as that does. A group's
prediction is the mean over its bins' centres: within ±16 off by less than 0.0004.
"""

from dataclasses import dataclass

import numpy as np

from learner.metrics.histogram_auc import BINS, LOGIT_RANGE
from learner.metrics.scored import Floats, Ints

GROUPS = 15


@dataclass(frozen=True)
class Reliability:
    """One point a group, by rising prediction; groups that would be empty are left out."""

    predicted: Floats
    """Mean prediction."""
    observed: Floats
    """Share of positives."""
    samples: Ints


def reliability(counts: Ints, groups: int = GROUPS) -> Reliability:
    """The curve of a histogram int64 [2, BINS], class 1 positive; groups never cut a bin."""
    total = counts.sum(axis=0)
    before = np.cumsum(total) - total
    group = (before + total / 2) * groups // max(int(total.sum()), 1)
    group = np.minimum(group, groups - 1).astype(np.int64)
    samples = np.bincount(group, total, minlength=groups)
    kept = samples > 0
    probability = 1 / (1 + np.exp(-_centres()))
    predicted = np.bincount(group, total * probability, minlength=groups)[kept] / samples[kept]
    observed = np.bincount(group, counts[1], minlength=groups)[kept] / samples[kept]
    return Reliability(predicted, observed, samples[kept].astype(np.int64))


def _centres() -> Floats:
    edges = np.linspace(-LOGIT_RANGE, LOGIT_RANGE, BINS + 1, dtype=np.float64)
    centres: Floats = (edges[1:] + edges[:-1]) / 2
    return centres
