"""Where the tokens of a batch belong: type, group, user, and how much of R each may see.

L tokens in all, stacked by type over all users: X = (H; R; T), equation (5).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from models.batch import UserBatch, row_of
from models.layers.grouped import Grouping
from models.layers.padding import Padding, blocks_of, padding_of
from models.layers.visibility import earlier_actions


@dataclass(frozen=True)
class TokenPlan:
    """What every layer needs to know of a batch; computed once a batch."""

    sizes: tuple[int, int, int]
    """L_H, L_R, L_T."""
    group: Tensor
    """int64 [L], group of each token: history streams, recent streams, scenarios."""
    scenario: Tensor
    """int64 [L_T]."""
    sample_request: Tensor
    """int64 [L_T]."""
    by_stream: Grouping
    """H- and R-tokens by the stream they come from."""
    by_scenario: Grouping
    """T-tokens by scenario."""
    history: Padding
    recent: Padding
    target: Padding
    recent_sees: list[Tensor]
    """For each block int64 [users, longest R]: actions of R that an R-token sees."""
    target_sees: list[Tensor]
    """For each block int64 [users, longest T]: actions of R that a T-token sees."""

    def split(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[L, …] → H, R and T parts."""
        h, r, t = torch.split(x, list(self.sizes))
        return h, r, t


def plan_of(batch: UserBatch, n_streams: int, n_scenarios: int) -> TokenPlan:
    """The plan of a batch; groups are numbered as in `TokenPlan.group`."""
    stream = torch.cat((batch.history.action, batch.recent.action + n_streams))
    sample_request = batch.sample_request
    scenario = batch.scenario[sample_request]
    target_offsets = batch.sample_offsets[batch.request_offsets]
    offsets = (batch.history.offsets, batch.recent.offsets, target_offsets)
    n_history, n_recent, n_target = (one.diff() for one in offsets)
    blocks = blocks_of(n_history, n_recent + n_target)
    history, recent, target = (padding_of(blocks, one) for one in offsets)
    recent_sees, target_sees = _visible_counts(batch)
    return TokenPlan(
        sizes=(batch.history.item.numel(), batch.recent.item.numel(), batch.n_samples),
        group=torch.cat((stream, scenario + 2 * n_streams)),
        scenario=scenario,
        sample_request=sample_request,
        by_stream=Grouping.of(stream, 2 * n_streams),
        by_scenario=Grouping.of(scenario, n_scenarios),
        history=history,
        recent=recent,
        target=target,
        recent_sees=recent.pad(recent_sees),
        target_sees=target.pad(target_sees),
    )


def _visible_counts(batch: UserBatch) -> tuple[Tensor, Tensor]:
    """Strictly earlier actions of R for each R-token [L_R] and T-token [L_T]."""
    recent = batch.recent
    by_recent = earlier_actions(recent, row_of(recent.offsets), recent.time_ms)
    by_request = earlier_actions(recent, batch.request_user, batch.request_time_ms)
    return by_recent, by_request[batch.sample_request]
