"""Normalised entropy: log loss over the entropy of the base rate.

`NE = (-1/n Σ [y ln p + (1 - y) ln(1 - p)]) / (-[r ln r + (1 - r) ln(1 - r)])`, r the share of
positives (He et al., Practical Lessons from Predicting Clicks on Ads, 2014, equation 1).
Below 1 the model knows more than the base rate does.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from learner.metrics.scored import Floats, Ints, Scored, TaskScored
from learner.metrics.sketch import Sketch, ratio, with_total


@dataclass(frozen=True)
class NormalisedEntropy(Sketch):
    """Log loss, samples and positives, each [K, S]."""

    log_loss: Floats
    samples: Ints
    positives: Ints

    @classmethod
    def of(cls, scored: Scored, tasks: int, columns: int) -> Self:
        """The sums of some samples."""
        rows = [_row(scored.task(task), columns) for task in range(tasks)]
        return cls(*(np.stack(column) for column in zip(*rows, strict=True)))

    def result(self) -> Floats:
        """NE [K, S + 1]; NaN where a class is empty."""
        log_loss, samples, positives = map(with_total, self.arrays().values())
        entropy = base_entropy(positives, samples)
        return ratio(ratio(log_loss, samples), np.nan_to_num(entropy))

    def samples_by_cell(self) -> Floats:
        """Labelled samples [K, S + 1]."""
        return with_total(self.samples).astype(np.float64)


def _row(task: TaskScored, columns: int) -> tuple[Floats, Ints, Ints]:
    loss = np.logaddexp(0.0, np.where(task.positive, -task.logit, task.logit))
    return (
        np.bincount(task.column, loss, minlength=columns).astype(np.float64),
        np.bincount(task.column, minlength=columns).astype(np.int64),
        np.bincount(task.column[task.positive], minlength=columns).astype(np.int64),
    )


def base_entropy(positives: Floats, samples: Floats) -> Floats:
    """Entropy in nats of the share of positives; NaN where a class is empty."""
    rate = ratio(positives, samples)
    inside = np.where((rate > 0) & (rate < 1), rate, np.nan)
    entropy: Floats = -(inside * np.log(inside) + (1 - inside) * np.log1p(-inside))
    return entropy
