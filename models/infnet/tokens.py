"""Group-wise tokens and the hubs they start with, INFNet 3.1, equations (1) to (4).

Q requests, N samples, A actions, M sequence tokens in all; F categorical tokens, K tasks, G
behavior types, H hubs, d width. Within a block of like length: q requests, m samples a request
(1 where all samples share what it says), T sequence tokens.
"""

from collections.abc import Hashable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.axes import Axes, Labels, Read, features, under, wide
from models.batch import UserBatch
from models.device import moved
from models.infnet.config import InfnetConfig
from models.infnet.plan import SequencePlan
from models.layers.binning import BinnedEmbedder, powers_of_two
from models.layers.embedder import embedded_items
from models.layers.grouped import GroupedLinear
from models.layers.mlp import mlp
from models.layout import Layout
from models.tables import Tables

LONGEST_AGE, PER_DOUBLING = 26, 2
"""Time intervals have a vector for each factor of √2 from a second to two years."""


class CategoricalTokens(nn.Module):
    """C: the scenario, each feature of request and candidate, and the item, a token each."""

    def __init__(self, layout: Layout, config: InfnetConfig) -> None:
        super().__init__()
        self.request = BinnedEmbedder(layout.request, config.width, config.tables.std)
        self.candidate = BinnedEmbedder(layout.candidate, config.width, config.tables.std)
        self.scenario = drawn(config, len(layout.scenarios))

    def forward(self, tables: Tables, batch: UserBatch, plan: SequencePlan) -> list[Tensor]:
        """For each block [q, m, F, d], those of the request first."""
        request = self.request(tables, batch.request_features)
        scenario = self.scenario.index_select(0, moved(batch.scenario, self.scenario.device))
        request = torch.stack([scenario, *request], dim=1)
        sample = self.candidate(tables, batch.sample_features)
        sample = torch.stack([*sample, embedded_items(tables, batch.item)], dim=1)
        pairs = zip(plan.requests, plan.samples.pad(sample), strict=True)
        return [_joined(request.index_select(0, rows), own) for rows, own in pairs]

    def axes(self, scenarios: Labels) -> Axes:
        """Of the scenarios."""
        return {"scenario": (scenarios, None)}


def categorical_labels(layout: Layout) -> list[Hashable]:
    """What the tokens of C stand for, in their order."""
    return ["scenario", *features((*layout.request, *layout.candidate)), "item"]


class SequenceTokens(nn.Module):
    """S: every action that a request sees, with its side information and its place in time.

        s_bt = e_bt + p_t + r_t                                                            (2)

    e sums the rows of the item, its features, the stream and the scenario it happened in; those of
    item and features count `sequence_scale` times. p is indexed from the newest item of the type,
    r by the logarithm of the time to the request.
    """

    bounds_ms: Tensor

    def __init__(self, layout: Layout, config: InfnetConfig) -> None:
        super().__init__()
        self.scale = config.sequence_scale
        self.features = BinnedEmbedder(layout.action, config.width, config.tables.std)
        self.stream = drawn(config, len(layout.actions))
        # Row 0 is no scenario, or none that is known.
        self.scenario = drawn(config, 1 + len(layout.scenarios))
        bounds_ms = 1000 * powers_of_two(0, LONGEST_AGE, PER_DOUBLING)
        self.register_buffer("bounds_ms", bounds_ms.round().long(), persistent=False)
        self.interval = drawn(config, 1 + len(bounds_ms))
        self.position = drawn(config, config.positions)

    def forward(self, tables: Tables, batch: UserBatch, plan: SequencePlan) -> Tensor:
        """[M, d], packed as in the plan."""
        e_Ad = self._raw(tables, batch)
        position = plan.position.clamp(max=len(self.position) - 1)
        interval = torch.bucketize(plan.age_ms, self.bounds_ms, right=True)
        s_Md = e_Ad.index_select(0, plan.action) + self.position.index_select(0, position)
        return s_Md + self.interval.index_select(0, interval)

    def axes(self, layout: Layout) -> Axes:
        """Of streams and scenarios; row 0 of these is of no scenario."""
        return {
            "stream": (layout.actions, None),
            "scenario": ((None, *layout.scenarios), None),
        }

    def _raw(self, tables: Tables, batch: UserBatch) -> Tensor:
        parts = (batch.history, batch.recent)
        features = [self.features(tables, part.features) for part in parts]
        item = embedded_items(tables, torch.cat([part.item for part in parts]))
        of_stream = torch.cat([part.action for part in parts])
        of_scenario = 1 + torch.cat([part.scenario for part in parts])
        of_stream, of_scenario = moved((of_stream, of_scenario), self.stream.device)
        stream = self.stream.index_select(0, of_stream)
        scenario = self.scenario.index_select(0, of_scenario)
        joined = [torch.cat(pair) for pair in zip(*features, strict=True)]
        return self.scale * torch.stack([item, *joined]).sum(dim=0) + stream + scenario


class SequenceHubs(nn.Module):
    """S̃: one hub a behavior type, through a network of its own.

        s̃_b = 1/T_b Σ_t MLP_b(s_bt),  0 of no action                                      (3)

    The second layer of MLP_b is linear, so it is applied to the mean of what enters it.
    """

    def __init__(self, n_types: int, config: InfnetConfig) -> None:
        super().__init__()
        self.first = GroupedLinear(n_types, config.width, config.sequence_hidden)
        self.second = GroupedLinear(n_types, config.sequence_hidden, config.width)

    def forward(self, s_Md: Tensor, plan: SequencePlan) -> list[Tensor]:
        """For each block [q, 1, G, d]."""
        hidden = functional.silu(self.first(s_Md, plan.by_type))
        n_types, n_requests = plan.counts.shape
        counts = plan.counts.flatten()[:, None]
        total = hidden.new_zeros(len(counts), hidden.shape[1]).index_add(0, plan.run, hidden)
        hubs = self.second(total / counts.clamp(min=1), [n_requests] * n_types)
        hubs_GQd = torch.where(counts > 0, hubs, 0).view(n_types, n_requests, -1)
        return [hubs_GQd[:, rows].transpose(0, 1)[:, None] for rows in plan.requests]

    def axes(self, types: Labels) -> Axes:
        """Of the behavior types."""
        first, second = self.first.axes(types), self.second.axes(types)
        return {**under("first", first), **under("second", second)}


class CategoricalHubs(nn.Module):
    """C̃ = Reshape(φ_cat[Flatten(C)]) (1): [q, m, F, d] → [q, m, n_c, d]."""

    def __init__(self, n_tokens: int, config: InfnetConfig) -> None:
        super().__init__()
        self.width = config.width
        inner, outer = n_tokens * config.width, config.categorical_hubs * config.width
        self.phi = mlp((inner, config.hub_hidden, outer))

    def forward(self, c_qmFd: Tensor) -> Tensor:
        hubs: Tensor = self.phi(c_qmFd.flatten(2))
        return hubs.reshape(*c_qmFd.shape[:2], -1, c_qmFd.shape[3])

    def axes(self, tokens: Sequence[Hashable]) -> Axes:
        """Of the tokens of C."""
        return {"phi.0.weight": (None, Read(wide(tokens, self.width)))}


class TaskTokens(nn.Module):
    """T, one learned token a task, and T̃ = Concat[T; T̃_shared] (4): [1, 1, K (+ n_shared), d]."""

    def __init__(self, n_tasks: int, config: InfnetConfig) -> None:
        super().__init__()
        self.own = nn.Parameter(torch.randn(n_tasks, config.width))
        self.shared = nn.Parameter(torch.randn(config.shared_hubs, config.width))

    def forward(self) -> tuple[Tensor, Tensor]:
        """Tokens and hubs."""
        return self.own[None, None], torch.cat((self.own, self.shared))[None, None]

    def hubs(self, tasks: Sequence[str]) -> list[Hashable]:
        """What the hubs stand for: tasks, then the shared ones."""
        return [*tasks, *(("shared", at) for at in range(len(self.shared)))]

    def axes(self, tasks: Labels) -> Axes:
        """Of the tasks."""
        return {"own": (tasks, None)}


def drawn(config: InfnetConfig, rows: int) -> nn.Parameter:
    """A small table of learned vectors, as spread as rows of embedding tables."""
    return nn.Parameter(torch.randn(rows, config.width) * config.tables.std)


def _joined(request_qFd: Tensor, sample_qmFd: Tensor) -> Tensor:
    shared = request_qFd[:, None].expand(-1, sample_qmFd.shape[1], -1, -1)
    return torch.cat((shared, sample_qmFd), dim=2)
