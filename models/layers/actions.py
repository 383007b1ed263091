"""Actions of a sequence to one vector each, and what a candidate finds among them.

A actions, Q requests, N samples, E width of a vector, b users of a block.
"""

import torch
from torch import Tensor, nn

from models.axes import Axes, Labels, Read
from models.batch import Actions
from models.device import moved
from models.layers.attention import silu_attention
from models.layers.embedder import FeatureEmbedder, embedded_items
from models.layers.padding import Padding
from models.layout import Layout
from models.tables import Tables


class ActionEmbedder(nn.Module):
    """The sum of an action's stream's, its item's and its features' vectors: [A, E]."""

    def __init__(self, layout: Layout, dim: int) -> None:
        super().__init__()
        self.features = FeatureEmbedder(layout.action, dim)
        self.stream = nn.Embedding(len(layout.actions), dim)

    def forward(self, tables: Tables, actions: Actions) -> Tensor:
        features: list[Tensor] = self.features(tables, actions.features)
        item = embedded_items(tables, actions.item)
        stream = self.stream(moved(actions.action, item.device))
        return torch.stack([stream, item, *features]).sum(dim=0)

    def axes(self, streams: Labels) -> Axes:
        """Of the streams."""
        return {"stream.weight": (streams, None)}


class TargetAttention(nn.Module):
    """What a candidate finds among the first n actions that it may see.

        y = 1/n Σ_a SiLU(W_q x · W_k z_a / √E) W_v z_a              0 if n = 0

    An activation unit as DIN's, without softmax: how much of a sequence resembles the candidate
    stays visible. Source: Zhou et al., KDD 2018, 4.3; SiLU as in HSTU.
    """

    def __init__(self, inner: int, dim: int) -> None:
        super().__init__()
        self.query = nn.Linear(inner, dim)
        self.key_value = nn.Linear(dim, 2 * dim)

    def forward(
        self,
        x_NI: Tensor,
        z_AE: Tensor,
        target: Padding,
        source: Padding,
        sees_N: Tensor,
    ) -> Tensor:
        """[N, E]: `target` and `source` place samples and actions, `sees_N` int64 is n."""
        q_NE = self.query(x_NI) * z_AE.shape[1] ** -0.5
        parts = zip(
            target.pad(q_NE), source.pad(self.key_value(z_AE)), target.pad(sees_N), strict=True
        )
        total = target.unpad([_attended(q, kv, sees) for q, kv, sees in parts])
        return total / sees_N.clamp(min=1)[:, None]

    def axes(self, into: Read) -> Axes:
        """Of what x holds."""
        return {"query.weight": (None, into)}


def _attended(q_bqE: Tensor, kv_bk2E: Tensor, sees_bq: Tensor) -> Tensor:
    key, value = kv_bk2E[:, :, None].chunk(2, dim=3)
    return silu_attention(q_bqE[:, :, None], key, value, sees_bq)[:, :, 0]
