"""Which recent actions a token may see: those of its user, strictly earlier (design rule 11)."""

import torch
from torch import Tensor

from models.batch import Actions, row_of


def earlier_actions(actions: Actions, user: Tensor, time_ms: Tensor) -> Tensor:
    """How many actions of `user` int64 [n] lie strictly before `time_ms` int64 [n]: int64 [n].

    Actions are in time order, so these are the first ones of the user. An action at the same
    millisecond is not earlier.
    """
    if actions.time_ms.numel() == 0:
        return torch.zeros_like(user)
    first = actions.time_ms.min()
    # Each user gets a stretch of one line, wide enough for all times and a step to spare.
    span = actions.time_ms.max() - first + 2
    line = row_of(actions.offsets) * span + (actions.time_ms - first)
    wanted = user * span + (time_ms - first).clamp(min=0).minimum(span - 1)
    return torch.searchsorted(line, wanted) - actions.offsets[user]
