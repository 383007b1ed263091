"""Means over runs of packed rows, whole or by group.

A rows, n runs, M members of runs in all, G groups, E width.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Runs:
    """Which rows make up which run; runs may overlap, as those of requests of one user do."""

    rows: Tensor
    """int64 [M], member → row."""
    run: Tensor
    """int64 [M], member → run."""
    counts: Tensor
    """int64 [n], members of each run."""

    def mean(self, x_AE: Tensor) -> Tensor:
        """The mean of each run's rows, [n, E]; 0 of an empty run."""
        total = x_AE.new_zeros(self.counts.numel(), x_AE.shape[1])
        total = total.index_add(0, self.run, x_AE.index_select(0, self.rows))
        return total / self.counts.clamp(min=1)[:, None]

    def by_group(self, group: Tensor, n_groups: int) -> "Runs":
        """Each run's rows of each group as a run of their own, [n · G], a run's groups together.

        `group` is int64 [A]; rows whose group is negative belong to none.
        """
        kept = group[self.rows] >= 0
        rows, run = self.rows[kept], self.run[kept]
        place = run * n_groups + group[rows]
        return Runs(rows, place, torch.bincount(place, minlength=self.counts.numel() * n_groups))


def runs_of(first: Tensor, count: Tensor) -> Runs:
    """Runs of neighbours: run i holds rows `first[i] … first[i] + count[i] - 1`, int64 [n] both."""
    return Runs(*members(first, count), count)


def members(first: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """The row and the run of each member of each run, int64 [count.sum()] both."""
    ends = count.cumsum(0)
    run = torch.repeat_interleave(torch.arange(count.numel()), count)
    rows = torch.arange(run.numel()) + (first - ends + count)[run]
    return rows, run
