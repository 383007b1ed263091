"""Which scenario tokens a sample has: its own scenarios' and the global one, MDL 3.2.3.

Only these are computed, so the cost does not grow with the number of scenarios. They are rows,
packed and sorted by token, so that each token's own weights meet one contiguous slice.

Q requests, N samples, S scenarios (the global token has number S), P (request, token) pairs,
M (sample, token) rows.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from models.batch import UserBatch


@dataclass(frozen=True)
class Selection:
    """The scenario tokens of a batch, at requests and at their samples."""

    pair_request: Tensor
    """int64 [P]."""
    pair_token: Tensor
    """int64 [P], ascending."""
    pair_counts: list[int]
    """Pairs of each token, S + 1 in all."""
    row_pair: Tensor
    """int64 [M]: the pair whose request the row's sample belongs to."""
    row_sample: Tensor
    """int64 [M]."""
    row_counts: list[int]
    """Rows of each token, S + 1 in all."""
    row_slot: Tensor
    """int64 [M]: where a row stands if each sample has `slots` places."""
    slots: int
    """The most tokens that a sample has."""
    sizes: Tensor
    """int64 [N]: tokens of each sample."""

    def mean(self, x_Md: Tensor) -> Tensor:
        """t_s,avg: the mean over a sample's tokens, [N, d], equation (9)."""
        total = x_Md.new_zeros(self.sizes.numel(), x_Md.shape[1])
        return total.index_add(0, self.row_sample, x_Md) / self.sizes[:, None].to(x_Md.dtype)

    def spread(self, x_Md: Tensor) -> Tensor:
        """Rows at their samples' places, zeros at places left over: [N, slots, d]."""
        flat = x_Md.new_zeros(self.sizes.numel() * self.slots, x_Md.shape[1])
        return flat.index_copy(0, self.row_slot, x_Md).view(-1, self.slots, x_Md.shape[1])

    def gather(self, x_NRd: Tensor) -> Tensor:
        """The inverse of `spread`."""
        return x_NRd.flatten(0, 1).index_select(0, self.row_slot)


def own_scenario(batch: UserBatch, n_scenarios: int) -> Tensor:
    """Each request in its own scenario alone: bool [Q, S]."""
    return batch.scenario[:, None] == torch.arange(n_scenarios)


def selection_of(batch: UserBatch, membership_QS: Tensor) -> Selection:
    """The tokens of requests that belong to these scenarios, and of their samples."""
    everywhere = membership_QS.new_ones(1, len(membership_QS))
    member_TQ = torch.cat((membership_QS.T, everywhere))
    pair_token, pair_request = member_TQ.nonzero().unbind(1)
    pair_TQ = torch.zeros_like(member_TQ, dtype=torch.int64)
    pair_TQ[pair_token, pair_request] = torch.arange(len(pair_token))
    request = batch.sample_request
    member_TN = member_TQ.index_select(1, request)
    row_token, row_sample = member_TN.nonzero().unbind(1)
    sizes = member_TN.sum(0)
    slots = int(sizes.max()) if sizes.numel() else 1
    place = (member_TN.cumsum(0) - 1)[row_token, row_sample]
    return Selection(
        pair_request=pair_request,
        pair_token=pair_token,
        pair_counts=member_TQ.sum(1).tolist(),
        row_pair=pair_TQ[row_token, request[row_sample]],
        row_sample=row_sample,
        row_counts=member_TN.sum(1).tolist(),
        row_slot=row_sample * slots + place,
        slots=slots,
        sizes=sizes,
    )
