"""How sure a metric is: sums over users in Poisson resamples of the users, mergeable.

A bootstrap draws users with replacement; for many users each then appears Poisson(1) times,
independently (Hanley and MacGibbon 2006; Chamandy et al. 2012). How often a user appears in
resample b follows from (user, b) alone, so windows merge by addition, and two scorers are
compared on the same resamples: their difference is paired.

Shape legend: U users, B resamples, K tasks, S columns.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from learner.metrics.entropy import base_entropy
from learner.metrics.grouped_auc import auc_by_group
from learner.metrics.scored import Floats, Ints, Scored, TaskScored
from learner.metrics.sketch import Sketch, ratio

RESAMPLES = 100
STATISTICS = ("auc", "ranked", "log_loss", "samples", "positives", "expected")
"""Of a user: n AUC and n if both classes are there, else 0; sums over samples."""
_AT_MOST = np.cumsum(np.exp(-1.0) / np.array([1, 1, 2, 6, 24, 120, 720, 5040], dtype=np.float64))
"""P(Poisson(1) ≤ 0, 1, …, 7)."""


@dataclass(frozen=True)
class Resampled(Sketch):
    """Sums of users' statistics in each resample."""

    sums: Floats
    """float64 [K, S + 1, B, 6], in the order of `STATISTICS`."""

    @classmethod
    def of(cls, scored: Scored, tasks: int, columns: int) -> Self:
        """The sums of some samples of whole users."""
        times_UB = appearances(scored.user_hash)
        rows = [_row(scored.task(task), columns, times_UB) for task in range(tasks)]
        return cls(np.stack(rows))

    def metrics(self) -> dict[str, Floats]:
        """GAUC, normalised entropy and calibration of each resample, [K, S + 1, B]."""
        auc, ranked, log_loss, samples, positives, expected = np.moveaxis(self.sums, -1, 0)
        entropy = np.nan_to_num(base_entropy(positives, samples))
        return {
            "gauc": ratio(auc, ranked),
            "normalised_entropy": ratio(ratio(log_loss, samples), entropy),
            "calibration": ratio(expected, positives),
        }

    def results(self) -> dict[str, Floats]:
        """`<metric>_ci95` → half the width of its 95% interval, [K, S + 1]."""
        return {f"{name}_ci95": half_width(values) for name, values in self.metrics().items()}


def half_width(values_KSB: Floats) -> Floats:
    """1.96 standard deviations over resamples; NaN where one of them is undefined."""
    width: Floats = 1.96 * values_KSB.std(axis=-1)
    return width


def appearances(user_hash: Ints) -> npt.NDArray[np.float32]:
    """How often each user is in each resample, [U, B]: Poisson(1), from the hash alone."""
    salt = (np.arange(1, RESAMPLES + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15))[None]
    mixed = _mixed(user_hash.astype(np.uint64)[:, None] ^ salt)
    uniform = (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return np.searchsorted(_AT_MOST, uniform, side="right").astype(np.float32)


def _mixed(x: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """SplitMix64's finaliser (Steele, Lea and Flood 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _row(task: TaskScored, columns: int, times_UB: npt.NDArray[np.float32]) -> Floats:
    """[S + 1, B, 6]."""
    apart = _statistics(task, task.user * columns + task.column)
    users, column = np.divmod(apart[0], columns)
    sums = np.zeros((columns + 1, RESAMPLES, len(STATISTICS)))
    for one in np.unique(column):
        of_one = column == one
        sums[one] = times_UB[users[of_one]].T.astype(np.float64) @ apart[1][of_one]
    everything = _statistics(task, task.user)
    sums[columns] = times_UB[everything[0]].T.astype(np.float64) @ everything[1]
    return sums


def _statistics(task: TaskScored, group: Ints) -> tuple[Ints, Floats]:
    """The groups that occur, and their statistics [groups, 6]."""
    groups, row = np.unique(group, return_inverse=True)
    sums = np.zeros((len(groups), len(STATISTICS)))
    auc, size, found = auc_by_group(task.logit, task.positive, group)
    place = np.searchsorted(groups, found)
    sums[place, 0], sums[place, 1] = auc * size, size
    loss = np.logaddexp(0.0, np.where(task.positive, -task.logit, task.logit))
    expected = np.exp(-np.logaddexp(0.0, -task.logit))
    for at, values in enumerate((loss, np.ones(len(row)), task.positive, expected), start=2):
        sums[:, at] = np.bincount(row, values, minlength=len(groups))
    return groups, sums
