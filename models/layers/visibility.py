"""Which recent actions a token may see: those of its user, strictly earlier (design rule 11)."""

import torch
from torch import Tensor

from models.batch import Actions, UserBatch, row_of
from models.layers.pooling import Runs, runs_of


def seen_history(batch: UserBatch) -> Runs:
    """H of each user, a run a user: all of its requests see all of it."""
    offsets = batch.history.offsets
    return runs_of(offsets[:-1], offsets.diff())


def seen_recent(batch: UserBatch) -> Runs:
    """What each request sees of its user's R, a run a request."""
    user = batch.request_user
    seen = earlier_actions(batch.recent, user, batch.request_time_ms)
    return runs_of(batch.recent.offsets[user], seen)


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
