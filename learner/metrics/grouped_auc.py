"""AUC within groups, averaged by impressions: GAUC by user, QAUC by request.

`GAUC = Σ_g n_g AUC_g / Σ_g n_g` over the groups that hold both classes (Zhou et al., Deep
Interest Network, 2018, section 6.3). Each group's AUC is exact: ties count one half.
"""

from dataclasses import dataclass
from typing import Literal, Self

import numpy as np

from learner.metrics.scored import Bools, Floats, Ints, Scored, TaskScored
from learner.metrics.sketch import Sketch, ratio

Group = Literal["user", "request"]


@dataclass(frozen=True)
class GroupedAuc(Sketch):
    """Sums over groups that hold both classes. A group never spans two windows."""

    weighted: Floats
    """float64 [K, S + 1], Σ n_g AUC_g."""
    weight: Ints
    """int64 [K, S + 1], Σ n_g."""

    @classmethod
    def of(cls, scored: Scored, tasks: int, columns: int, group: Group) -> Self:
        """The sums of some samples; `scored` holds whole groups."""
        rows = [_row(scored.task(task), columns, group) for task in range(tasks)]
        return cls(np.stack([row[0] for row in rows]), np.stack([row[1] for row in rows]))

    def result(self) -> Floats:
        """Grouped AUC [K, S + 1]; NaN where no group holds both classes."""
        return ratio(self.weighted, self.weight)


def _row(task: TaskScored, columns: int, by: Group) -> tuple[Floats, Ints]:
    group = task.user if by == "user" else task.request
    auc, size, key = auc_by_group(task.logit, task.positive, group * columns + task.column)
    all_auc, all_size, _ = auc_by_group(task.logit, task.positive, group)
    weighted = np.bincount(key % columns, auc * size, minlength=columns)
    weight = np.bincount(key % columns, size, minlength=columns).astype(np.int64)
    return (
        np.append(weighted, (all_auc * all_size).sum()),
        np.append(weight, all_size.sum()),
    )


def auc_by_group(score: Floats, positive: Bools, group: Ints) -> tuple[Floats, Ints, Ints]:
    """AUC, size and group number of every group that holds both classes, by rank sums.

    `AUC = (Σ ranks of positives - P (P + 1) / 2) / (P N)`, tied scores sharing their mean rank.
    """
    order = np.lexsort((score, group))
    score, positive, group = score[order], positive[order], group[order]
    group_first = _first(group)
    tie_first = group_first | _first(score)
    starts = np.flatnonzero(group_first)
    size = np.diff(np.append(starts, len(group)))
    rank_sum = np.add.reduceat(_ranks(tie_first) * positive, starts) if len(group) else np.empty(0)
    positives = np.add.reduceat(positive, starts, dtype=np.int64) if len(group) else size
    rank_sum = rank_sum - starts * positives
    pairs = positives * (size - positives)
    both = pairs > 0
    auc = (rank_sum[both] - positives[both] * (positives[both] + 1) / 2) / pairs[both]
    return auc, size[both], group[starts][both]


def _first(values: Floats | Ints) -> Bools:
    changed = np.ones(len(values), dtype=np.bool_)
    changed[1:] = values[1:] != values[:-1]
    return changed


def _ranks(tie_first: Bools) -> Floats:
    """The mean 1-based rank of each row's run of ties, counted over all rows."""
    starts = np.flatnonzero(tie_first)
    ends = np.append(starts[1:], len(tie_first))
    means: Floats = (starts + ends + 1) / 2
    return np.repeat(means, ends - starts)
