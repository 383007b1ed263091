"""Blocks of features and their tokens, UniScale 3.4.1, first paragraph.

B users, A actions, Q requests, N samples, D d_H, E width of an embedded feature, S streams.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.axes import Axes, Read, features, wide
from models.batch import Actions, UserBatch
from models.hhsft.config import HhsftConfig
from models.hhsft.plan import Plan
from models.layers.embedder import FeatureEmbedder, embedded_items
from models.layers.mlp import mlp
from models.layers.pooling import Runs
from models.layout import FeatureField, Layout
from models.tables import tables_by_scale
from schemas.spec import FeatureOwner


@dataclass(frozen=True)
class BlockTokens:
    """The tokens h⁽⁰⁾; those that a request's samples share are there once."""

    request: Tensor
    """[Q, tokens of a request, D]."""
    sample: Tensor
    """[N, tokens of a sample, D]."""
    user: list[Tensor]
    """The embedded user features, each [Q, E]: Emb_u of equation (7)."""


class BlockTokenizer(nn.Module):
    """h_i = MLP_i(block_i): a token of width d_H for each block of features.

    Of a request: user; context, the scenario among it; query; history; recent. Of a sample: item,
    its id among it; cross. A block without features has no token. A block of actions holds the
    mean of each stream's actions, an action being its item and its features, `sequence_scale`
    times; of R, a request reads what is strictly earlier.
    """

    def __init__(self, layout: Layout, config: HhsftConfig) -> None:
        super().__init__()
        dim = config.embedding
        self.scale = config.sequence_scale
        self.tables, self.own = tables_by_scale(layout, config.tables, dim, self.scale)
        self.user = FeatureEmbedder(_owned(layout.request, "user"), dim)
        self.context = FeatureEmbedder(_owned(layout.request, "context"), dim)
        self.query = FeatureEmbedder(_owned(layout.request, "query"), dim)
        self.item = FeatureEmbedder(_owned(layout.candidate, "item"), dim)
        self.cross = FeatureEmbedder(_owned(layout.candidate, "cross"), dim)
        self.action = FeatureEmbedder(layout.action, dim)
        self.scenario = nn.Embedding(len(layout.scenarios), dim)
        self.streams = len(layout.actions)
        of_context, of_item = dim + self.context.width, dim + self.item.width
        of_actions = self.streams * (dim + self.action.width)
        self.request = _blocks(
            config.d_h,
            user=self.user.width,
            context=of_context,
            query=self.query.width,
            history=of_actions,
            recent=of_actions,
        )
        self.sample = _blocks(config.d_h, item=of_item, cross=self.cross.width)
        self.n_tokens = len(self.request) + len(self.sample)

    def forward(self, batch: UserBatch, plan: Plan) -> BlockTokens:
        request, sample = batch.request_features, batch.sample_features
        user = self.user(self.tables, request)
        of_request = (
            user,
            [self.scenario(plan.scenario), *self.context(self.tables, request)],
            self.query(self.tables, request),
            *self._actions(batch, plan),
        )
        of_sample = (
            [embedded_items(self.tables, batch.item), *self.item(self.tables, sample)],
            self.cross(self.tables, sample),
        )
        return BlockTokens(_tokens(self.request, of_request), _tokens(self.sample, of_sample), user)

    def labels(self, layout: Layout) -> dict[str, list[Hashable]]:
        """Of each block in the order of the tokens: what its places stand for."""
        of_action = ["item", *features(layout.action)]
        actions: list[Hashable] = [(stream, one) for stream in layout.actions for one in of_action]
        blocks: dict[str, list[Hashable]] = {
            "user": features(_owned(layout.request, "user")),
            "context": ["scenario", *features(_owned(layout.request, "context"))],
            "query": features(_owned(layout.request, "query")),
            "history": actions,
            "recent": actions,
            "item": ["item", *features(_owned(layout.candidate, "item"))],
            "cross": features(_owned(layout.candidate, "cross")),
        }
        dim = self.scenario.embedding_dim
        return {name: wide(parts, dim) for name, parts in blocks.items() if parts}

    def axes(self, layout: Layout) -> Axes:
        """What the axes of parameters stand for."""
        blocks = self.labels(layout)
        of_request = {f"request.{name}": blocks[name] for name in blocks if name in self.request}
        of_sample = {f"sample.{name}": blocks[name] for name in blocks if name in self.sample}
        into = (of_request | of_sample).items()
        first = {f"{name}.0.weight": (None, Read(labels)) for name, labels in into}
        return {"scenario.weight": (layout.scenarios, None), **first}

    def _actions(self, batch: UserBatch, plan: Plan) -> tuple[list[Tensor], list[Tensor]]:
        """Pooled H and R of each request, [Q, S · (E + features)] each; H is pooled by user."""
        if not self.streams:
            return [], []
        history = self._pooled(batch.history, plan.history)
        recent = self._pooled(batch.recent, plan.recent)
        return [history.index_select(0, plan.request_user)], [recent]

    def _pooled(self, actions: Actions, by_stream: Runs) -> Tensor:
        """The streams' means side by side, [users or requests, S · (E + features)]."""
        tables = self.tables if self.own is None else self.own
        item = embedded_items(tables, actions.item)
        vectors = torch.cat([item, *self.action(tables, actions.features)], dim=1)
        return self.scale * by_stream.mean(vectors).view(-1, self.streams * vectors.shape[1])


def _owned(fields: Sequence[FeatureField], owner: FeatureOwner) -> list[FeatureField]:
    return [field for field in fields if field.owner == owner]


def _blocks(width: int, **inner: int) -> nn.ModuleDict:
    """An MLP for each block that has features, by the block's name."""
    return nn.ModuleDict({name: mlp((one, width, width)) for name, one in inner.items() if one})


def _tokens(blocks: nn.ModuleDict, parts: Sequence[list[Tensor]]) -> Tensor:
    """[rows, T, D]: a block's parts, concatenated, through its MLP."""
    filled = [torch.cat(part, dim=1) for part in parts if part]
    return torch.stack([block(x) for block, x in zip(blocks.values(), filled, strict=True)], dim=1)
