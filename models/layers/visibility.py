"""Which recent actions a token may see: those of its user, strictly earlier (design rule 11)."""

import torch
from torch import Tensor

from models.batch import Actions, row_of


def earlier_actions(actions: Actions, user: Tensor, time_ms: Tensor) -> Tensor:
    """How many actions of `user` int64 [n] lie strictly before `time_ms` int64 [n]: int64 [n].

    Actions are in time order, so these are the first ones of the user. An action at the same
    millisecond is not earlier.
    """
    return count_earlier(actions.offsets, actions.time_ms, user, time_ms)


def count_earlier(offsets: Tensor, times_ms: Tensor, row: Tensor, time_ms: Tensor) -> Tensor:
    """How many times of `row` int64 [n] lie strictly before `time_ms` int64 [n]: int64 [n].

    Rows are packed, `offsets` int64 [rows + 1] into `times_ms`, each in time order.
    """
    if times_ms.numel() == 0:
        return torch.zeros_like(row)
    first = times_ms.min()
    # Each row gets a stretch of one line, wide enough for all times and a step to spare.
    span = times_ms.max() - first + 2
    line = row_of(offsets) * span + (times_ms - first)
    wanted = row * span + (time_ms - first).clamp(min=0).minimum(span - 1)
    return torch.searchsorted(line, wanted) - offsets[row]
