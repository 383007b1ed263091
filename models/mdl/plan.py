"""What every part of an MDL needs to know of a batch; computed once a batch.

B users, Q requests, N samples, S scenarios, G streams.
"""

from dataclasses import dataclass

from torch import Tensor

from models.batch import Actions, UserBatch
from models.layers.padding import Padding, blocks_of, padding_of
from models.layers.pooling import Runs
from models.layers.visibility import seen_history, seen_recent
from models.mdl.selection import Selection, selection_of


@dataclass(frozen=True)
class SeenActions:
    """H as users have it, or R as requests see it: a run a user or request."""

    every: Runs
    by_scenario: Runs
    """S runs for each of `every`."""
    by_stream: Runs
    """G runs for each of `every`."""
    sees: Tensor
    """int64 [N]: actions that a sample sees."""
    places: Padding
    """Of all actions, in blocks of users."""


@dataclass(frozen=True)
class Plan:
    """Who belongs to whom, and what each may see."""

    sample_request: Tensor
    """int64 [N]."""
    request_user: Tensor
    """int64 [Q]."""
    scenario: Tensor
    """int64 [Q]."""
    history: SeenActions
    recent: SeenActions
    target: Padding
    """Samples, in the same blocks of users as actions."""
    selection: Selection


def plan_of(batch: UserBatch, membership_QS: Tensor, n_streams: int) -> Plan:
    """The plan of a batch whose requests belong to these scenarios."""
    request_user, sample_request = batch.request_user, batch.sample_request
    target_offsets = batch.sample_offsets[batch.request_offsets]
    offsets = (batch.history.offsets, batch.recent.offsets, target_offsets)
    n_history, n_recent, n_target = (one.diff() for one in offsets)
    blocks = blocks_of(n_history, n_recent + n_target)
    history, recent, target = (padding_of(blocks, one) for one in offsets)
    groups = membership_QS.shape[1], n_streams
    of_user, of_request = seen_history(batch), seen_recent(batch)
    return Plan(
        sample_request=sample_request,
        request_user=request_user,
        scenario=batch.scenario,
        history=_seen(batch.history, of_user, groups, request_user[sample_request], history),
        recent=_seen(batch.recent, of_request, groups, sample_request, recent),
        target=target,
        selection=selection_of(batch, membership_QS),
    )


def _seen(
    actions: Actions, every: Runs, groups: tuple[int, int], run_N: Tensor, places: Padding
) -> SeenActions:
    """`groups`: scenarios and streams; `run_N`: the run that a sample sees."""
    n_scenarios, n_streams = groups
    return SeenActions(
        every=every,
        by_scenario=every.by_group(actions.scenario, n_scenarios),
        by_stream=every.by_group(actions.action, n_streams),
        sees=every.counts[run_N],
        places=places,
    )
