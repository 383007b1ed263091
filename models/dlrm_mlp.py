"""The plain baseline: pooled sequences, pairwise dot products and an MLP.

B users, A actions, Q requests, N samples, F embedded vectors a sample, E width of a vector.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from types import MappingProxyType
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.axes import Axes, Read, features, wide
from models.base import RankingModel
from models.batch import Actions, UserBatch
from models.device import moved
from models.layers.embedder import FeatureEmbedder, embedded_items
from models.layers.mlp import FullPrecisionLinear, mlp
from models.layers.pooling import Runs
from models.layers.visibility import seen_history, seen_recent
from models.layout import Layout
from models.tables import TableConfig, tables_for


@dataclass(frozen=True)
class DlrmMlpConfig:
    """Sizes of the baseline."""

    embedding: int
    """E: width of every embedded vector."""
    hidden: tuple[int, ...]
    """Hidden widths of the MLP on top."""
    tables: TableConfig


PRESETS: Mapping[str, DlrmMlpConfig] = MappingProxyType(
    {
        "tiny": DlrmMlpConfig(8, (32,), TableConfig(rows=1 << 10, std=0.025)),
        "demo": DlrmMlpConfig(16, (128, 64), TableConfig(rows=1 << 20, std=0.025)),
        "paper": DlrmMlpConfig(64, (1024, 512, 256), TableConfig(rows=1 << 24, std=0.025)),
    }
)


@dataclass(frozen=True)
class Plan:
    """Who belongs to whom, and which actions are pooled together."""

    sample_request: Tensor
    """int64 [N]."""
    request_user: Tensor
    """int64 [Q]."""
    scenario: Tensor
    """int64 [Q]."""
    history: Runs
    """H of each user."""
    recent: Runs
    """What of R each request sees."""


def plan_of(batch: UserBatch) -> Plan:
    """The plan of a batch."""
    return Plan(
        sample_request=batch.sample_request,
        request_user=batch.request_user,
        scenario=batch.scenario,
        history=seen_history(batch),
        recent=seen_recent(batch),
    )


class DlrmMlp(RankingModel):
    """One logit a task from a sample's vectors and their interactions.

        z = (scenario, U, C, I, item, pooled H, pooled R)      F vectors of width E
        logits = MLP(z ∥ {z_i · z_j : i < j})

    A sequence is pooled to the mean of its actions' vectors, an action's vector being the sum of
    its stream's, its item's and its features'. Of R, a request pools what is strictly earlier.
    Source: Naumov et al. 2019, "Deep Learning Recommendation Model".
    """

    presets: ClassVar = PRESETS

    def __init__(self, layout: Layout, config: DlrmMlpConfig) -> None:
        super().__init__()
        dim = config.embedding
        self.tables = tables_for(layout, config.tables, dim)
        self.request = FeatureEmbedder(layout.request, dim)
        self.candidate = FeatureEmbedder(layout.candidate, dim)
        self.action = FeatureEmbedder(layout.action, dim)
        self.stream = nn.Embedding(len(layout.actions), dim)
        self.scenario = nn.Embedding(len(layout.scenarios), dim)
        n_vectors = len(layout.request) + len(layout.candidate) + 4
        n_pairs = n_vectors * (n_vectors - 1) // 2
        self.top = mlp((n_vectors * dim + n_pairs, *config.hidden))
        self.logits = FullPrecisionLinear(config.hidden[-1], len(layout.tasks))

    def forward(self, batch: UserBatch) -> Tensor:
        plan = moved(plan_of(batch), self.device)
        of_request = torch.stack(self._request_vectors(batch, plan), dim=1)
        of_sample = torch.stack(self._sample_vectors(batch), dim=1)
        z_NFE = torch.cat((of_request.index_select(0, plan.sample_request), of_sample), dim=1)
        top = self.top(torch.cat((z_NFE.flatten(1), dot_products(z_NFE)), dim=1))
        logits: Tensor = self.logits(functional.silu(top))
        return logits

    def axes(self, layout: Layout) -> Axes:
        of_request, of_sample = features(layout.request), features(layout.candidate)
        vectors = ["scenario", *of_request, "history", "recent", *of_sample, "item"]
        pairs = [frozenset(pair) for pair in combinations(vectors, 2)]
        into_top = Read([*wide(vectors, self.stream.embedding_dim), *pairs])
        return {
            "stream.weight": (layout.actions, None),
            "scenario.weight": (layout.scenarios, None),
            "top.0.weight": (None, into_top),
            "logits.weight": (layout.tasks, None),
            "logits.bias": (layout.tasks,),
        }

    def _request_vectors(self, batch: UserBatch, plan: Plan) -> list[Tensor]:
        """Scenario, U, pooled H and R, each [Q, E]."""
        history = plan.history.mean(self._actions(batch.history))
        recent = plan.recent.mean(self._actions(batch.recent))
        user = self.request(self.tables, batch.request_features)
        history = history.index_select(0, plan.request_user)
        return [self.scenario(plan.scenario), *user, history, recent]

    def _sample_vectors(self, batch: UserBatch) -> list[Tensor]:
        """C, I and the item, each [N, E]."""
        features: list[Tensor] = self.candidate(self.tables, batch.sample_features)
        return [*features, embedded_items(self.tables, batch.item)]

    def _actions(self, actions: Actions) -> Tensor:
        """An action's vector, [A, E]."""
        features: list[Tensor] = self.action(self.tables, actions.features)
        item = embedded_items(self.tables, actions.item)
        stream = self.stream(moved(actions.action, item.device))
        return torch.stack([stream, item, *features]).sum(dim=0)


def dot_products(z_NFE: Tensor) -> Tensor:
    """z_i · z_j for all i < j: [N, F (F - 1) / 2]."""
    products = torch.bmm(z_NFE, z_NFE.transpose(1, 2))
    i, j = torch.triu_indices(z_NFE.shape[1], z_NFE.shape[1], offset=1, device=z_NFE.device)
    return products[:, i, j]
