"""Item CTR so far: what any model must beat.

`score(item, task) = (positives + a r) / (impressions + a)`, counted over all windows before; r is
the task's rate over all items, so that an unseen item scores r.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from learner.metrics.scored import Bools, Floats, Ints

PRIOR_IMPRESSIONS = 20.0
"""a: how many impressions the overall rate weighs."""


@dataclass(frozen=True)
class ItemCtr:
    """Counts of I items for K tasks; items ascend."""

    items: Ints
    """int64 [I], hashes."""
    positives: Ints
    """int64 [I, K]."""
    impressions: Ints
    """int64 [I, K]; labelled samples."""

    @classmethod
    def empty(cls, tasks: int) -> Self:
        """Before the first window."""
        none = np.empty((0, tasks), dtype=np.int64)
        return cls(np.empty(0, dtype=np.int64), none, none)

    @classmethod
    def of(cls, item: Ints, positive: Bools, present: Bools) -> Self:
        """The counts of some samples: `item` [N], `positive` and `present` [N, K]."""
        items, row = np.unique(item, return_inverse=True)
        return cls(
            items, _sums(row, positive & present, len(items)), _sums(row, present, len(items))
        )

    def merge(self, other: Self) -> Self:
        """The counts of both together."""
        items, row = np.unique(np.concatenate([self.items, other.items]), return_inverse=True)
        positives = np.concatenate([self.positives, other.positives])
        impressions = np.concatenate([self.impressions, other.impressions])
        size = len(items)
        return type(self)(items, _sums(row, positives, size), _sums(row, impressions, size))

    def logits(self, item: Ints) -> Floats:
        """Log odds of every sample for every task, [N, K]."""
        rate = (self.positives.sum(axis=0) + 1) / (self.impressions.sum(axis=0) + 2)
        positives = np.broadcast_to(rate * PRIOR_IMPRESSIONS, (len(item), len(rate))).copy()
        impressions = np.full(positives.shape, PRIOR_IMPRESSIONS)
        row, known = self._find(item)
        positives[known] += self.positives[row]
        impressions[known] += self.impressions[row]
        odds: Floats = np.log(positives) - np.log(impressions - positives)
        return odds

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """The counts by field name, to be stored."""
        return {
            "items": self.items,
            "positives": self.positives,
            "impressions": self.impressions,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """What `arrays` came from."""
        return cls(**arrays)

    def _find(self, item: Ints) -> tuple[Ints, Bools]:
        """Rows of the known items, and which items are known."""
        place = np.searchsorted(self.items, item).clip(max=max(len(self.items) - 1, 0))
        if not len(self.items):
            return place[:0], np.zeros(len(item), dtype=np.bool_)
        known: Bools = self.items[place] == item
        return place[known], known


def _sums(row: Ints, values: npt.NDArray[Any], size: int) -> Ints:
    """Column sums of `values` [n, K] by row number, int64 [size, K]."""
    columns = [np.bincount(row, values[:, k], minlength=size) for k in range(values.shape[1])]
    return np.stack(columns, axis=1).astype(np.int64)
