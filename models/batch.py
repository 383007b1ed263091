"""The contract between learner and models: users with sequences, requests, samples. Never padded.

Shape legend: B users, A actions in all, Q requests in all, N samples in all, K tasks,
V values of a list feature in all.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Ids:
    """An `id` feature: one hash a row and whether it is there."""

    values: Tensor
    """int64 [rows]; 0 where missing."""
    present: Tensor
    """bool [rows]."""


@dataclass(frozen=True)
class IdLists:
    """An `ids` feature: a list of hashes a row; an empty list is a missing value."""

    values: Tensor
    """int64 [V]."""
    offsets: Tensor
    """int64 [rows + 1]."""


@dataclass(frozen=True)
class Numbers:
    """A `number` feature."""

    values: Tensor
    """float32 [rows]; 0 where missing."""
    present: Tensor
    """bool [rows]."""


Column = Ids | IdLists | Numbers


@dataclass(frozen=True)
class Actions:
    """H or R of all users, each user's in (time, stream, event id) order."""

    offsets: Tensor
    """int64 [B + 1], user → actions."""
    time_ms: Tensor
    """int64 [A]."""
    item: Tensor
    """int64 [A], hashes."""
    action: Tensor
    """int64 [A], index into `Layout.actions`."""
    scenario: Tensor
    """int64 [A], index into `Layout.scenarios`, -1 where the event named none that is known."""
    features: Mapping[str, Column]
    """The layout's `action` features."""

    def where(self, keep: Tensor) -> "Actions":
        """The actions for which `keep` bool [A] holds."""
        kept_before = torch.cat((keep.new_zeros(1, dtype=torch.int64), keep.cumsum(0)))
        return Actions(
            offsets=kept_before[self.offsets],
            time_ms=self.time_ms[keep],
            item=self.item[keep],
            action=self.action[keep],
            scenario=self.scenario[keep],
            features={name: _kept(column, keep) for name, column in self.features.items()},
        )


@dataclass(frozen=True)
class UserBatch:
    """B users of one window: sequences, requests and samples (kept candidates), packed.

    A batch is on the host, whatever device a model's weights are on; see `models.base`.
    """

    user: Tensor
    """int64 [B], hashes."""
    history: Actions
    recent: Actions
    request_offsets: Tensor
    """int64 [B + 1], user → requests."""
    request_time_ms: Tensor
    """int64 [Q], in order within a user."""
    scenario: Tensor
    """int64 [Q], index into `Layout.scenarios`."""
    domain: Tensor
    """int64 [Q], index into `Layout.domains`: the one that a request is a sample of."""
    origin_domain: Tensor
    """int64 [Q], the same: where it was logged, another one if made of a foreign click."""
    query_path: Tensor
    """int64 [Q], code of `schemas.labels.QUERY_PATHS`, -1 unless made of a foreign click."""
    query_score: Numbers
    """[Q], how sure the query of a request made of a foreign click is."""
    request_features: Mapping[str, Column]
    """The layout's `request` features, a row a request."""
    sample_offsets: Tensor
    """int64 [Q + 1], request → samples."""
    item: Tensor
    """int64 [N], hashes."""
    position: Tensor
    """int64 [N]; for evaluation only: a model must not read it."""
    origin: Tensor
    """int64 [N], code of `schemas.labels.ORIGINS`; for weights and metrics only."""
    probability: Tensor
    """float32 [N], inclusion probability; for weights and metrics only."""
    sample_features: Mapping[str, Column]
    """The layout's `candidate` features, a row a sample."""
    labels: Tensor
    """float32 [N, K]; 0 where missing."""
    label_present: Tensor
    """bool [N, K]; false where the task does not apply to the sample."""

    @property
    def n_users(self) -> int:
        return self.user.numel()

    @property
    def n_requests(self) -> int:
        return self.scenario.numel()

    @property
    def n_samples(self) -> int:
        return self.item.numel()

    @property
    def sample_request(self) -> Tensor:
        """int64 [N], sample → request."""
        return row_of(self.sample_offsets)

    @property
    def request_user(self) -> Tensor:
        """int64 [Q], request → user."""
        return row_of(self.request_offsets)


def _kept(column: Column, keep: Tensor) -> Column:
    if not isinstance(column, IdLists):
        return type(column)(column.values[keep], column.present[keep])
    counts = column.offsets.diff()
    offsets = torch.cat((column.offsets[:1], counts[keep].cumsum(0)))
    return IdLists(column.values[torch.repeat_interleave(keep, counts)], offsets)


def row_of(offsets: Tensor) -> Tensor:
    """The row that each packed value belongs to, int64 [offsets[-1]]."""
    counts = offsets.diff()
    rows = torch.arange(counts.numel())
    return torch.repeat_interleave(rows, counts)
