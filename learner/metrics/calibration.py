"""Calibration: expected over observed positives, `Σ p / Σ y`; 1 is right, above 1 promises more."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from learner.metrics.scored import Floats, Ints, Scored, TaskScored
from learner.metrics.sketch import Sketch, ratio, with_total


@dataclass(frozen=True)
class Calibration(Sketch):
    """Expected and observed positives, each [K, S]."""

    expected: Floats
    observed: Ints

    @classmethod
    def of(cls, scored: Scored, tasks: int, columns: int) -> Self:
        """The sums of some samples."""
        rows = [_row(scored.task(task), columns) for task in range(tasks)]
        return cls(*(np.stack(column) for column in zip(*rows, strict=True)))

    def result(self) -> Floats:
        """Calibration [K, S + 1]; NaN without a positive."""
        return ratio(with_total(self.expected), with_total(self.observed))


def _row(task: TaskScored, columns: int) -> tuple[Floats, Ints]:
    probability = np.exp(-np.logaddexp(0.0, -task.logit))
    return (
        np.bincount(task.column, probability, minlength=columns).astype(np.float64),
        np.bincount(task.column[task.positive], minlength=columns).astype(np.int64),
    )
