"""The INFNet block: aggregate into hubs, broadcast to tokens (INFNet 3.2, equations 5 to 10).

q requests, m samples a request, n tokens of a group, H hubs of a group, d width. Where all
samples of a request agree, m is 1, and where all requests agree, q is 1: nothing is computed
once a sample that is the same for its request, and broadcasting does the rest.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.axes import Axes, Labels, Read, under, wide
from models.infnet.config import InfnetConfig
from models.layers.grouped import uniform
from models.layers.mlp import mlp

GROUPS = ("C", "S", "T")
HIDDEN = -1e9
"""Added to the score of padding: finite, so that a row of nothing but padding stays a number."""


@dataclass(frozen=True)
class Tokens:
    """One group's tokens; sequences are padded."""

    x: Tensor
    """[q, m, n, d]."""
    lengths: Tensor | None = None
    """int64 [q]: tokens that are there; None if all are."""

    def scores(self, q_qmHd: Tensor) -> Tensor:
        """q · x / √d, [q, m, H, n]; padding is hidden."""
        scores = _product(q_qmHd, self.x.transpose(2, 3)) * self.x.shape[3] ** -0.5
        if self.lengths is None:
            return scores
        padding = torch.arange(self.x.shape[2], device=self.x.device) >= self.lengths[:, None]
        return scores + (padding * HIDDEN).to(scores.dtype)[:, None, None]

    def attended(self, q_qmHd: Tensor) -> Tensor:
        """CA(q, x, x) (5), [q, m, H, d]: 0 where there are no tokens."""
        context = _product(self.scores(q_qmHd).softmax(dim=-1), self.x)
        if self.lengths is None:
            return context
        return context * (self.lengths > 0)[:, None, None, None]


State = Mapping[str, Tokens]
"""Original tokens by group."""


class CrossAttention(nn.Module):
    """CA(Q, K, V) = Softmax(Q Kᵀ / √d) V of hubs on one group's tokens (5): [q, m, H, d].

    Without projections Q are the hubs, K and V the tokens. With them Q = X̃ W_Q, K = X W_K and
    V = X W_V; as (X̃ W_Q)(X W_K)ᵀ = (X̃ W_Q W_Kᵀ) Xᵀ, they are applied to hubs alone, and the cost
    still has no term N·d².
    """

    def __init__(self, config: InfnetConfig) -> None:
        super().__init__()
        d = config.width
        self.projections = nn.Parameter(uniform(d, 3, d, d)) if config.projections else None

    def forward(self, hubs_qmHd: Tensor, tokens: Tokens) -> Tensor:
        if self.projections is None:
            return tokens.attended(hubs_qmHd)
        w_q, w_k, w_v = self.projections.unbind()
        return tokens.attended(hubs_qmHd @ w_q @ w_k.T) @ w_v


class Aggregation(nn.Module):
    """A group's hubs query all three groups of tokens: [q, m, H, d] → [q, m, H, d].

    Z_g = CA(X̃, X_g, X_g),  g ∈ {C, S, T}                             (6)
    X̃' = LN(X̃ + Linear(Concat[Z_C; Z_S; Z_T]))                        (7)

    The linear layer is applied view by view, so that each stays as small as it is.
    """

    def __init__(self, config: InfnetConfig) -> None:
        super().__init__()
        self.views = nn.ModuleList(CrossAttention(config) for _ in GROUPS)
        self.fusion = nn.Linear(len(GROUPS) * config.width, config.width)
        self.norm = nn.LayerNorm(config.width)

    def forward(self, hubs: Tensor, tokens: State) -> Tensor:
        weights = self.fusion.weight.chunk(len(GROUPS), dim=1)
        fused: Tensor = self.fusion.bias
        for group, view, weight in zip(GROUPS, self.views, weights, strict=True):
            fused = fused + functional.linear(view(hubs, tokens[group]), weight)
        updated: Tensor = self.norm(hubs + fused)
        return updated


class Broadcast(nn.Module):
    """A group's hubs modulate its tokens: [q, m, n, d] → [q, m, n, d].

    α, β = Split(MLP_bgu(Flatten(X̃')))                                (8)
    BGU(x) = x ⊙ σ(α) + β                                             (9)
    X' = LN(X + BGU(X))                                               (10)
    """

    def __init__(self, n_hubs: int, config: InfnetConfig) -> None:
        super().__init__()
        self.width = d = config.width
        self.modulation = mlp((n_hubs * d, config.broadcast_hidden, 2 * d))
        self.norm = nn.LayerNorm(d)

    def forward(self, tokens: Tokens, hubs_qmHd: Tensor) -> Tokens:
        alpha, beta = self.modulation(hubs_qmHd.flatten(2))[:, :, None].chunk(2, dim=3)
        # X + X ⊙ σ(α) + β in one pass over the tokens.
        modulated = torch.addcmul(beta, tokens.x, 1 + alpha.sigmoid())
        return Tokens(self.norm(modulated), tokens.lengths)

    def axes(self, hubs: Sequence[Hashable]) -> Axes:
        """Of the hubs."""
        return {"modulation.0.weight": (None, Read(wide(hubs, self.width)))}


class InfnetBlock(nn.Module):
    """Both phases for the groups named by `n_hubs`: tokens and hubs of layer l → l + 1.

    Groups that it does not name are read and not computed: the last block serves T alone.
    """

    def __init__(self, n_hubs: Mapping[str, int], config: InfnetConfig) -> None:
        super().__init__()
        self.aggregate = nn.ModuleDict({group: Aggregation(config) for group in n_hubs})
        self.broadcast = nn.ModuleDict({g: Broadcast(n, config) for g, n in n_hubs.items()})

    def forward(
        self, tokens: State, hubs: Mapping[str, Tensor]
    ) -> tuple[dict[str, Tokens], dict[str, Tensor]]:
        hubs = {group: phase(hubs[group], tokens) for group, phase in self.aggregate.items()}
        tokens = {
            group: phase(tokens[group], hubs[group]) for group, phase in self.broadcast.items()
        }
        return tokens, hubs

    def axes(self, hubs: Mapping[str, Sequence[Hashable]]) -> Axes:
        """Of the hubs of each group that stand for something of the layout."""
        axes: dict[str, tuple[Labels, ...]] = {}
        for group, phase in self.broadcast.items():
            if group in hubs:
                assert isinstance(phase, Broadcast)
                axes |= under(f"broadcast.{group}", phase.axes(hubs[group]))
        return axes


def _product(a_qmij: Tensor, b_qmjk: Tensor) -> Tensor:
    """a @ b, [q, m, i, k]; where b is shared by samples, their rows of a make one product."""
    if b_qmjk.shape[:2] == (1, 1):
        return a_qmij @ b_qmjk[0, 0]
    if b_qmjk.shape[1] > 1 or a_qmij.shape[1] == 1:
        return a_qmij @ b_qmjk
    folded = a_qmij.flatten(1, 2) @ b_qmjk[:, 0]
    return folded.view(*a_qmij.shape[:3], b_qmjk.shape[3])
