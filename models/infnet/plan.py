"""Which actions become sequence tokens of which request, and where tokens stand in blocks.

B users, G behavior types (streams), A actions of H and R, Q requests, N samples, M sequence
tokens in all. A type's sequence is its actions of H, then of R; a request sees all of H and what
of R is strictly earlier, so it sees a prefix. Tokens are packed by type, then request.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from models.batch import UserBatch, row_of
from models.layers.padding import Padding, blocks_of, padding_of
from models.layers.pooling import members
from models.layers.visibility import count_earlier


@dataclass(frozen=True)
class SequencePlan:
    """What the tokenizer and the blocks need to know of a batch; computed once a batch."""

    action: Tensor
    """int64 [M], token → row of the actions (H; R)."""
    by_type: list[int]
    """Tokens of each type, as they are packed."""
    run: Tensor
    """int64 [M], token → G-major (type, request)."""
    counts: Tensor
    """int64 [G, Q], T_b of each type and request."""
    position: Tensor
    """int64 [M], 0 for the newest that the request sees of the type."""
    age_ms: Tensor
    """int64 [M], from the action to the request."""
    requests: list[Tensor]
    """For each block int64 [q], its requests."""
    lengths: list[Tensor]
    """For each block int64 [q], N_s of its requests."""
    tokens: Padding
    """Tokens in blocks of requests of like length, [q, longest]."""
    samples: Padding
    """Samples in the same blocks, [q, most samples]."""


def plan_of(batch: UserBatch, n_types: int) -> SequencePlan:
    """The plan of a batch."""
    order, first, counts = _prefixes(batch, n_types)
    row, run = members(first.flatten(), counts.flatten())
    rank = row - first.flatten()[run]
    request = run % batch.n_requests
    action = order[row]
    lengths = counts.sum(dim=0)
    blocks = blocks_of(lengths, batch.sample_offsets.diff())
    offsets = torch.cat((lengths.new_zeros(1), lengths.cumsum(0)))
    tokens = padding_of(blocks, offsets)
    earlier_types = (counts.cumsum(0) - counts).flatten()
    slots = tokens.slots[offsets[request] + earlier_types[run] + rank]
    times_ms = torch.cat((batch.history.time_ms, batch.recent.time_ms))
    return SequencePlan(
        action=action,
        by_type=counts.sum(dim=1).tolist(),
        run=run,
        counts=counts,
        position=counts.flatten()[run] - 1 - rank,
        age_ms=batch.request_time_ms[request] - times_ms[action],
        requests=list(torch.split(blocks.order, list(blocks.sizes))),
        lengths=list(torch.split(lengths[blocks.order], list(blocks.sizes))),
        tokens=Padding(slots, tokens.shapes),
        samples=padding_of(blocks, batch.sample_offsets),
    )


def _prefixes(batch: UserBatch, n_types: int) -> tuple[Tensor, Tensor, Tensor]:
    """(H; R) sorted by (type, user), oldest first: the order [A], and of it for each type and
    request the first row and how many it sees, [G, Q] both."""
    history, recent = batch.history, batch.recent
    n_groups = n_types * batch.n_users
    of_history = history.action * batch.n_users + row_of(history.offsets)
    of_recent = recent.action * batch.n_users + row_of(recent.offsets)
    in_history = torch.bincount(of_history, minlength=n_groups)
    in_recent = torch.bincount(of_recent, minlength=n_groups)
    order = torch.argsort(torch.cat((of_history, of_recent)), stable=True)
    start = _offsets(in_history + in_recent)[:-1]

    types = torch.arange(n_types)[:, None]
    group = types * batch.n_users + batch.request_user
    times_ms = recent.time_ms[torch.argsort(of_recent, stable=True)]
    at_ms = batch.request_time_ms.expand_as(group)
    earlier = count_earlier(_offsets(in_recent), times_ms, group, at_ms)
    return order, start[group], in_history[group] + earlier


def _offsets(counts: Tensor) -> Tensor:
    return torch.cat((counts.new_zeros(1), counts.cumsum(0)))
