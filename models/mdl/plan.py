"""What every part of an MDL needs to know of a batch; computed once a batch.

B users, Q requests, N samples, S scenarios.
"""

from dataclasses import dataclass

from torch import Tensor

from models.batch import UserBatch
from models.layers.padding import Padding, blocks_of, padding_of
from models.layers.visibility import earlier_actions
from models.mdl.selection import Selection, selection_of


@dataclass(frozen=True)
class Plan:
    """Who belongs to whom, and what each may see."""

    sample_request: Tensor
    """int64 [N]."""
    request_user: Tensor
    """int64 [Q]."""
    recent_first: Tensor
    """int64 [Q]: where the user's R begins."""
    recent_sees: Tensor
    """int64 [Q]: how many of its actions are strictly earlier than the request."""
    history: Padding
    recent: Padding
    target: Padding
    selection: Selection


def plan_of(batch: UserBatch, membership_QS: Tensor) -> Plan:
    """The plan of a batch whose requests belong to these scenarios."""
    request_user = batch.request_user
    target_offsets = batch.sample_offsets[batch.request_offsets]
    offsets = (batch.history.offsets, batch.recent.offsets, target_offsets)
    n_history, n_recent, n_target = (one.diff() for one in offsets)
    blocks = blocks_of(n_history, n_recent + n_target)
    history, recent, target = (padding_of(blocks, one) for one in offsets)
    return Plan(
        sample_request=batch.sample_request,
        request_user=request_user,
        recent_first=batch.recent.offsets[request_user],
        recent_sees=earlier_actions(batch.recent, request_user, batch.request_time_ms),
        history=history,
        recent=recent,
        target=target,
        selection=selection_of(batch, membership_QS),
    )
