"""Multi-head softmax cross-attention between a few tokens of a row, MDL 3.2.2, (7) and (8).

n rows, q query tokens, k key tokens, d width of a token, H heads.
"""

import torch
from torch import Tensor


def cross_attention(
    q_nqd: Tensor, k_nkd: Tensor, v_nkd: Tensor, heads: int
) -> tuple[Tensor, Tensor]:
    """softmax(Q^h K^hᵀ / √(d / H)) V^h, heads concatenated [n, q, d]; its weights [n, H, q, k]."""
    q, k, v = (_by_head(x, heads) for x in (q_nqd, k_nkd, v_nkd))
    scores = torch.matmul(q, k.transpose(2, 3)) * q.shape[-1] ** -0.5
    weights = scores.softmax(dim=-1)
    mixed = torch.matmul(weights.to(v.dtype), v)
    return mixed.transpose(1, 2).reshape(q_nqd.shape), weights


def _by_head(x_nqd: Tensor, heads: int) -> Tensor:
    n, tokens, _ = x_nqd.shape
    return x_nqd.reshape(n, tokens, heads, -1).transpose(1, 2)
