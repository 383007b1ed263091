"""Means over runs of packed rows, whole or by group.

A rows, n runs, G groups, E width. Run i holds rows `first[i] … first[i] + count[i] - 1`; runs may
overlap, as those of requests of one user do.
"""

import torch
from torch import Tensor


def mean_of_first(x_AE: Tensor, first: Tensor, count: Tensor) -> Tensor:
    """The mean of each run's rows, [n, E]; 0 of an empty run."""
    rows, run = members(first, count)
    total = x_AE.new_zeros(count.numel(), x_AE.shape[1])
    total = total.index_add(0, run, x_AE.index_select(0, rows))
    return total / count.clamp(min=1)[:, None]


def means_by_group(
    x_AE: Tensor, group: Tensor, n_groups: int, first: Tensor, count: Tensor
) -> Tensor:
    """The mean of each run's rows of each group, [n, G, E]; 0 where there are none.

    `group` is int64 [A]; rows whose group is negative belong to none.
    """
    rows, run = members(first, count)
    kept = group[rows] >= 0
    rows, run = rows[kept], run[kept]
    place = run * n_groups + group[rows]
    n_places = count.numel() * n_groups
    total = x_AE.new_zeros(n_places, x_AE.shape[1])
    total = total.index_add(0, place, x_AE.index_select(0, rows))
    sizes = torch.bincount(place, minlength=n_places).clamp(min=1)
    return (total / sizes[:, None]).view(count.numel(), n_groups, -1)


def members(first: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """The row and the run of each member of each run, int64 [count.sum()] both."""
    ends = count.cumsum(0)
    run = torch.repeat_interleave(torch.arange(count.numel(), device=count.device), count)
    rows = torch.arange(run.numel(), device=count.device) + (first - ends + count)[run]
    return rows, run
