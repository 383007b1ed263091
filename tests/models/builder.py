"""Random user batches of odd shapes, and batches cut or joined by user."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from models.batch import Actions, Column, IdLists, Ids, Numbers, UserBatch
from models.layout import FeatureField, Layout

LAYOUT = Layout(
    scenarios=("home", "search", "shop"),
    domains=("feed", "search"),
    tasks=("click", "buy"),
    actions=("click", "like"),
    task_actions=("click", None),
    request=(
        FeatureField("city", "id", "city", "user"),
        FeatureField("age", "number", "", "user"),
        FeatureField("items", "ids", "type", "query"),
    ),
    candidate=(
        FeatureField("author", "id", "author", "item"),
        FeatureField("price", "number", "", "cross"),
    ),
    action=(
        FeatureField("author", "id", "author", "item"),
        FeatureField("tags", "ids", "tags", "item"),
    ),
)
WINDOW_START_MS = 1_650_000_000_000


@dataclass(frozen=True)
class UserShape:
    """How much one user brings: actions in H and R, and samples of each request."""

    history: int
    recent: int
    requests: tuple[int, ...]


ODD_SHAPES = (
    UserShape(history=5, recent=3, requests=(2, 1)),
    UserShape(history=0, recent=4, requests=(1,)),
    UserShape(history=7, recent=0, requests=(3,)),
    UserShape(history=0, recent=0, requests=(1,)),
    UserShape(history=60, recent=9, requests=(1, 4, 2)),
    UserShape(history=1, recent=1, requests=(1, 1, 1, 1)),
)


class BatchBuilder:
    """Draws batches of one layout from one generator."""

    def __init__(self, seed: int, layout: Layout = LAYOUT) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        self.layout = layout

    def batch(self, shapes: Sequence[UserShape] = ODD_SHAPES) -> UserBatch:
        """One batch of users of these shapes; times of R and of requests often tie."""
        n_samples = [n for shape in shapes for n in shape.requests]
        n_requests = [len(shape.requests) for shape in shapes]
        total = sum(n_samples)
        return UserBatch(
            user=self.hashes(len(shapes)),
            history=self._actions([shape.history for shape in shapes], ahead_ms=-100),
            recent=self._actions([shape.recent for shape in shapes], ahead_ms=0),
            request_offsets=offsets_of(n_requests),
            request_time_ms=self._times(n_requests, ahead_ms=0),
            scenario=self.integers(len(self.layout.scenarios), sum(n_requests)),
            domain=self.integers(len(self.layout.domains), sum(n_requests)),
            origin_domain=self.integers(len(self.layout.domains), sum(n_requests)),
            query_path=self.integers(5, sum(n_requests)) - 1,
            query_score=self._numbers(sum(n_requests)),
            request_features=self.columns(self.layout.request, sum(n_requests)),
            sample_offsets=offsets_of(n_samples),
            item=self.hashes(total),
            position=self.integers(50, total),
            origin=self.integers(4, total),
            probability=torch.rand(total, generator=self.generator),
            sample_features=self.columns(self.layout.candidate, total),
            labels=self.integers(2, total * len(self.layout.tasks)).float().view(total, -1),
            label_present=self.flags(total * len(self.layout.tasks)).view(total, -1),
        )

    def columns(self, fields: Sequence[FeatureField], rows: int) -> dict[str, Column]:
        """A random column a field, about a fifth of its values missing."""
        return {field.name: self._column(field, rows) for field in fields}

    def hashes(self, n: int) -> Tensor:
        """Ids from all of int64's range, with repeats."""
        return (self.integers(97, n) - 48) * 0x0123_4567_89AB_CDEF

    def integers(self, below: int, n: int) -> Tensor:
        return torch.randint(below, (n,), generator=self.generator)

    def flags(self, n: int) -> Tensor:
        return torch.rand(n, generator=self.generator) < 0.8

    def _column(self, field: FeatureField, rows: int) -> Column:
        if field.type == "ids":
            counts = self.integers(4, rows)
            return IdLists(self.hashes(int(counts.sum())), offsets_of(counts.tolist()))
        if field.type == "number":
            return self._numbers(rows)
        present = self.flags(rows)
        return Ids(self.hashes(rows) * present, present)

    def _numbers(self, rows: int) -> Numbers:
        present = self.flags(rows)
        return Numbers(torch.randn(rows, generator=self.generator) * 9 * present, present)

    def _actions(self, counts: Sequence[int], ahead_ms: int) -> Actions:
        total = sum(counts)
        return Actions(
            offsets=offsets_of(counts),
            time_ms=self._times(counts, ahead_ms),
            item=self.hashes(total),
            action=self.integers(len(self.layout.actions), total),
            scenario=self.integers(len(self.layout.scenarios) + 1, total) - 1,
            features=self.columns(self.layout.action, total),
        )

    def _times(self, counts: Sequence[int], ahead_ms: int) -> Tensor:
        start = WINDOW_START_MS + ahead_ms
        parts = [start + self.integers(10, n).sort().values for n in counts]
        return torch.cat([*parts, torch.zeros(0, dtype=torch.int64)])


def offsets_of(counts: Sequence[int]) -> Tensor:
    """Packed offsets int64 [n + 1] of n counts."""
    return torch.tensor([0, *counts]).cumsum(0)


def users_of(batch: UserBatch, users: Sequence[int]) -> UserBatch:
    """The batch of these users of a batch, in this order."""
    requests = _members(batch.request_offsets, users)
    samples = _members(batch.sample_offsets, requests.tolist())
    return UserBatch(
        user=batch.user[list(users)],
        history=actions_of(batch.history, users),
        recent=actions_of(batch.recent, users),
        request_offsets=offsets_of(batch.request_offsets.diff()[list(users)].tolist()),
        request_time_ms=batch.request_time_ms[requests],
        scenario=batch.scenario[requests],
        domain=batch.domain[requests],
        origin_domain=batch.origin_domain[requests],
        query_path=batch.query_path[requests],
        query_score=numbers_of(batch.query_score, requests),
        request_features=rows_of(batch.request_features, requests),
        sample_offsets=offsets_of(batch.sample_offsets.diff()[requests].tolist()),
        item=batch.item[samples],
        position=batch.position[samples],
        origin=batch.origin[samples],
        probability=batch.probability[samples],
        sample_features=rows_of(batch.sample_features, samples),
        labels=batch.labels[samples],
        label_present=batch.label_present[samples],
    )


def samples_of(batch: UserBatch, user: int) -> slice:
    """Where a user's samples lie in the batch."""
    first, last = batch.sample_offsets[batch.request_offsets[user : user + 2]].tolist()
    return slice(first, last)


def rows_of(columns: Mapping[str, Column], rows: Tensor) -> dict[str, Column]:
    """These rows of every column."""
    return {name: _rows(column, rows) for name, column in columns.items()}


def _rows(column: Column, rows: Tensor) -> Column:
    if isinstance(column, IdLists):
        counts = column.offsets.diff()[rows].tolist()
        return IdLists(column.values[_members(column.offsets, rows.tolist())], offsets_of(counts))
    return type(column)(column.values[rows], column.present[rows])


def numbers_of(column: Numbers, rows: Tensor) -> Numbers:
    """These rows of one column."""
    return Numbers(column.values[rows], column.present[rows])


def actions_of(actions: Actions, users: Sequence[int]) -> Actions:
    """The actions of these users, one after another."""
    rows = _members(actions.offsets, users)
    return Actions(
        offsets=offsets_of(actions.offsets.diff()[list(users)].tolist()),
        time_ms=actions.time_ms[rows],
        item=actions.item[rows],
        action=actions.action[rows],
        scenario=actions.scenario[rows],
        features=rows_of(actions.features, rows),
    )


def _members(offsets: Tensor, rows: Sequence[int]) -> Tensor:
    bounds = offsets.tolist()
    members = [i for row in rows for i in range(bounds[row], bounds[row + 1])]
    return torch.tensor(members, dtype=torch.int64)
