"""Hybrid Target Attention's two layers, MTFM 3.2.2, equations (6) to (18).

L tokens, D d_model, H query heads, G key-value heads, d head width; b users and q tokens of a
block. The dynamic mask M is never built: H-tokens see all of H; R- and T-tokens see all of H and
the first so many of R (those strictly earlier); a T-token sees itself besides.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.layers.attention import self_attention, silu_attention
from models.layers.group_norm import GroupLayerNorm
from models.layers.padding import Padding
from models.mtfm.config import MtfmConfig
from models.mtfm.plan import TokenPlan


class FullLayer(nn.Module):
    """One full attention layer: [L, D] → [L, D].

        X̃ = GLN(X)                                                   (6)
        U, {Q^h}, {K^g, V^g} = Split(φ1(f1(X̃)))                      (7)
        A = ∥_h φ2(Q^h K^gᵀ ⊙ M) V^g,   g = ⌈h / r⌉                  (8), (9)
        X' = f2(GLN(A) ⊙ U) + X                                      (10)

    φ1 = φ2 = SiLU.
    """

    def __init__(self, config: MtfmConfig, n_streams: int, n_scenarios: int) -> None:
        super().__init__()
        width = config.d_model
        self.shapes = _Shapes(config)
        self.norm_in = GroupLayerNorm(2 * n_streams + n_scenarios, width)
        self.norm_out = GroupLayerNorm(2 * n_streams + n_scenarios, width)
        self.f1 = nn.Linear(width, 2 * width + self.shapes.keys)
        self.f2 = _faint(nn.Linear(width, width))

    def forward(self, x_LD: Tensor, plan: TokenPlan) -> Tensor:
        normal = self.norm_in(x_LD, plan.group)
        u, q, kv = torch.split(functional.silu(self.f1(normal)), self.shapes.full, dim=1)
        a = full_attention(self.shapes.queries(q), self.shapes.key_values(kv), plan)
        update: Tensor = self.f2(self.norm_out(a.flatten(1), plan.group) * u)
        return update + x_LD


class TargetLayer(nn.Module):
    """One target attention layer: only T-tokens change, [L, D] → [L, D].

    U_T, {Q_T^h} = Split(φ1(f_uq(X̃_T)))                          (11), (13)
    {K^g, V^g} = Split(φ1(f_kv(X̃)))                              (14), of all tokens
    A_T = ∥_h φ2(Q_T^h K^gᵀ ⊙ M_T) V^g                           (12), (15), (16)
    X'_T = f2(GLN(A_T) ⊙ U_T) + X_T                              (17)
    X' = (X_H; X_R; X'_T)                                        (18)
    """

    def __init__(self, config: MtfmConfig, n_streams: int, n_scenarios: int) -> None:
        super().__init__()
        width = config.d_model
        self.shapes = _Shapes(config)
        self.norm_in = GroupLayerNorm(2 * n_streams + n_scenarios, width)
        self.norm_out = GroupLayerNorm(n_scenarios, width)
        self.f_uq = nn.Linear(width, 2 * width)
        self.f_kv = nn.Linear(width, self.shapes.keys)
        self.f2 = _faint(nn.Linear(width, width))

    def forward(self, x_LD: Tensor, plan: TokenPlan) -> Tensor:
        normal = self.norm_in(x_LD, plan.group)
        u, q = functional.silu(self.f_uq(plan.split(normal)[2])).chunk(2, dim=1)
        kv = self.shapes.key_values(functional.silu(self.f_kv(normal)))
        a = target_attention(self.shapes.queries(q), padded_keys(kv, plan), plan)
        h, r, t = plan.split(x_LD)
        t = self.f2(self.norm_out(a.flatten(1), plan.scenario) * u) + t
        return torch.cat((h, r, t))


@dataclass(frozen=True)
class Keys:
    """Keys and values of all tokens, by type."""

    history: list[Tensor]
    """For each block [b, longest H, 2, G, d]."""
    recent: list[Tensor]
    """For each block [b, longest R, 2, G, d]."""
    target: Tensor
    """[L_T, 2, G, d], packed: each T-token is a key for itself only."""


def full_attention(q_LHd: Tensor, kv_L2Gd: Tensor, plan: TokenPlan) -> Tensor:
    """Every token's attention under the dynamic mask, split by type: [L, H, d]."""
    q_h, q_r, q_t = plan.split(q_LHd)
    keys = padded_keys(kv_L2Gd, plan)
    pairs = zip(plan.history.pad(q_h), keys.history, strict=True)
    a_h = plan.history.unpad([_attention(q, kv) for q, kv in pairs])
    a_r = _over_past(q_r, plan.recent, plan.recent_sees, keys)
    return torch.cat((a_h, a_r, target_attention(q_t, keys, plan)))


def target_attention(q_THd: Tensor, keys: Keys, plan: TokenPlan) -> Tensor:
    """The T-tokens' attention alone, their past and themselves: [L_T, H, d]."""
    past = _over_past(q_THd, plan.target, plan.target_sees, keys)
    return past + self_attention(q_THd, keys.target[:, 0], keys.target[:, 1])


def padded_keys(kv_L2Gd: Tensor, plan: TokenPlan) -> Keys:
    """Keys and values where queries look for them."""
    h, r, t = plan.split(kv_L2Gd)
    return Keys(plan.history.pad(h), plan.recent.pad(r), t)


def _over_past(q_nHd: Tensor, kind: Padding, sees: Sequence[Tensor], keys: Keys) -> Tensor:
    """Attention over all of H and the first `sees` actions of R: [n, H, d]."""
    parts = zip(kind.pad(q_nHd), sees, keys.history, keys.recent, strict=True)
    return kind.unpad([_attention(q, h) + _attention(q, r, seen) for q, seen, h, r in parts])


def _attention(q_bqHd: Tensor, kv_bk2Gd: Tensor, sees_bq: Tensor | None = None) -> Tensor:
    return silu_attention(q_bqHd, kv_bk2Gd[:, :, 0], kv_bk2Gd[:, :, 1], sees_bq)


def _faint(layer: nn.Linear) -> nn.Linear:
    """The layer with small initial weights, so that a new block is almost the identity."""
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.mul_(0.01)
    return layer


class _Shapes:
    """How projections split into U, Q and keys with values, and into heads."""

    def __init__(self, config: MtfmConfig) -> None:
        self.heads, self.groups = config.heads, config.groups
        self.keys = 2 * config.groups * config.head_width
        self.full = [config.d_model, config.d_model, self.keys]

    def queries(self, q: Tensor) -> Tensor:
        return q.reshape(q.shape[0], self.heads, -1)

    def key_values(self, kv: Tensor) -> Tensor:
        return kv.reshape(kv.shape[0], 2, self.groups, -1)
