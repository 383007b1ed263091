"""Heterogeneous Hierarchical Feature Interaction (HHFI), UniScale 3.4.1, equations (1) and (2).

Q requests, n samples, T block tokens, D d_H; m global tokens, G d_G, W width of a token.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.axes import Axes, Labels, Read, under, wide
from models.hhsft.config import HhsftConfig
from models.hhsft.tokens import BlockTokens
from models.layers.cross_attention import cross_attention
from models.layers.mlp import mlp
from models.layers.per_token import ALL, PerTokenFfn, PerTokenLinear
from models.layers.token_norm import TokenNorm


class Interaction(nn.Module):
    """HFA, then GFA: the block tokens of each sample → its representation z, [n, m · G]."""

    def __init__(self, config: HhsftConfig, tokens: int) -> None:
        super().__init__()
        m, width = config.global_tokens, config.d_g
        self.first = HeterogeneousLayer(config, tokens)
        self.others = nn.ModuleList(
            HeterogeneousLayer(config, tokens) for _ in range(config.layers - 1)
        )
        shapes = [(tokens, config.d_h)] + [(m, width)] * (config.global_layers - 1)
        self.whole = nn.ModuleList(GlobalLayer(config, *shape) for shape in shapes)
        self.norm = TokenNorm(m, width)

    def forward(self, tokens: BlockTokens, sample_request: Tensor) -> Tensor:
        h = self.first(*self.first.projected_once(tokens, sample_request))
        for layer in (*self.others, *self.whole):
            h = layer(h)
        z: Tensor = self.norm(h).flatten(1)
        return z

    def axes(self, blocks: Sequence[str]) -> Axes:
        """Of the blocks' tokens; the global ones stand for nothing of the layout."""
        axes = dict(under("first", self.first.axes(blocks)))
        for at, layer in enumerate(self.others):
            assert isinstance(layer, HeterogeneousLayer)
            axes |= under(f"others.{at}", layer.axes(blocks))
        whole = self.whole[0]
        assert isinstance(whole, GlobalLayer)
        return {**axes, **under("whole.0", whole.axes(blocks))}


class HeterogeneousLayer(nn.Module):
    """A layer of heterogeneous feature attention: h [n, T, D] → [n, T, D].

    q_i, k_i, v_i = x_i W_i^Q, x_i W_i^K, x_i W_i^V      x = LN(h)      (1)
    a_i = h_i + MHSA(q, k, v)_i W_i^O
    h_i' = a_i + FFN_i(LN(a_i))
    """

    def __init__(self, config: HhsftConfig, tokens: int) -> None:
        super().__init__()
        width, self.heads = config.d_h, config.heads
        self.norm_in = TokenNorm(tokens, width)
        self.qkv = PerTokenLinear(tokens, width, 3 * width, bias=False)
        self.out = PerTokenLinear(tokens, width, width, bias=False)
        self.norm_ffn = TokenNorm(tokens, width)
        self.ffn = PerTokenFfn(tokens, width, config.ffn_ratio * width, width)

    def projected(self, h_nTD: Tensor, places: slice = ALL) -> Tensor:
        """Equation (1) for the tokens of these places: [n, their number, 3 · D]."""
        projected: Tensor = self.qkv(self.norm_in(h_nTD, places), places)
        return projected

    def projected_once(self, tokens: BlockTokens, sample_request: Tensor) -> tuple[Tensor, Tensor]:
        """h and its projections, [n, T, D] and [n, T, 3 · D]; a request's are computed once."""
        shared = tokens.request.shape[1]
        of_request = self.projected(tokens.request, slice(shared))
        of_sample = self.projected(tokens.sample, slice(shared, None))
        return (
            torch.cat((tokens.request.index_select(0, sample_request), tokens.sample), dim=1),
            torch.cat((of_request.index_select(0, sample_request), of_sample), dim=1),
        )

    def forward(self, h_nTD: Tensor, projected: Tensor | None = None) -> Tensor:
        qkv = self.projected(h_nTD) if projected is None else projected
        q, k, v = qkv.chunk(3, dim=2)
        a = h_nTD + self.out(cross_attention(q, k, v, self.heads))
        refined: Tensor = a + self.ffn(self.norm_ffn(a))
        return refined

    def axes(self, blocks: Labels) -> Axes:
        """Of the blocks' tokens."""
        parts = ("norm_in", "qkv", "out", "norm_ffn", "ffn")
        axes: dict[str, tuple[Labels, ...]] = {}
        for name in parts:
            axes |= under(name, getattr(self, name).axes(blocks))
        return axes


class GlobalLayer(nn.Module):
    """A layer of global feature attention: [n, tokens, W] → [n, m, G].

    q̃_j, k̃_j, ṽ_j = x W̃_j^Q, x W̃_j^K, x W̃_j^V       x = concat(LN(h))      (2)
    a = MHSA(q̃, k̃, ṽ)                                + concat(h) where as wide
    h' = FFN(concat(LN(a)))                          + a
    """

    def __init__(self, config: HhsftConfig, tokens: int, width: int) -> None:
        super().__init__()
        self.shape, self.heads = (config.global_tokens, config.d_g), config.global_heads
        self.width = width
        outer = config.global_tokens * config.d_g
        self.norm_in = TokenNorm(tokens, width)
        self.qkv = nn.Linear(tokens * width, 3 * outer, bias=False)
        self.norm_ffn = TokenNorm(config.global_tokens, config.d_g)
        self.ffn = mlp((outer, config.ffn_ratio * outer, outer))

    def forward(self, h_nTW: Tensor) -> Tensor:
        q, k, v = self.qkv(self.norm_in(h_nTW).flatten(1)).view(-1, 3, *self.shape).unbind(1)
        a_nmG = cross_attention(q, k, v, self.heads)
        if h_nTW[0].numel() == a_nmG[0].numel():
            a_nmG = a_nmG + h_nTW.reshape(a_nmG.shape)
        refined = self.ffn(self.norm_ffn(a_nmG).flatten(1))
        return a_nmG + refined.view(a_nmG.shape)

    def axes(self, tokens: Sequence[str]) -> Axes:
        """Of the tokens that enter."""
        into = Read(wide(tokens, self.width))
        return {**under("norm_in", self.norm_in.axes(tokens)), "qkv.weight": (None, into)}
