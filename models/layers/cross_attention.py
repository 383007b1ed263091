"""Multi-head softmax cross-attention between a few tokens of a row, MDL 3.2.2, (7) and (8).

n rows, q query tokens, k key tokens, d width of a token, H heads.
"""

import torch
from torch import Tensor
from torch.nn import functional


def cross_attention(q_nqd: Tensor, k_nkd: Tensor, v_nkd: Tensor, heads: int) -> Tensor:
    """softmax(Q^h K^hᵀ / √(d / H)) V^h, the heads' results concatenated: [n, q, d]."""
    q, k, v = (_by_head(x, heads) for x in (q_nqd, k_nkd, v_nkd))
    mixed = functional.scaled_dot_product_attention(q, k, v)
    return mixed.transpose(1, 2).reshape(q_nqd.shape)


def attention_weights(q_nqd: Tensor, k_nkd: Tensor, heads: int) -> Tensor:
    """The softmax of the same attention, which it does not keep: [n, H, q, k]."""
    q, k = _by_head(q_nqd, heads), _by_head(k_nkd, heads)
    scores = torch.matmul(q, k.transpose(2, 3)) * q.shape[-1] ** -0.5
    return scores.softmax(dim=-1)


def _by_head(x_nqd: Tensor, heads: int) -> Tensor:
    n, tokens, _ = x_nqd.shape
    return x_nqd.reshape(n, tokens, heads, -1).transpose(1, 2)
