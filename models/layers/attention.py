"""Grouped-query SiLU attention over one padded block, MTFM 3.2.2, equations (8) and (15).

b users, q query tokens, k key tokens, H query heads, G key-value heads, r = H / G, d head width.
"""

import torch
from torch import Tensor
from torch.nn import functional


def silu_attention(
    q_bqHd: Tensor, k_bkGd: Tensor, v_bkGd: Tensor, visible_bq: Tensor | None = None
) -> Tensor:
    """A^h = SiLU(Q^h K^gᵀ ⊙ M) V^g, g = ⌈h / r⌉: [b, q, H, d].

    M lets query i see the first `visible_bq[., i]` keys, or all if None. Scores are neither
    scaled nor divided by a count; a masked or padded score is 0, and SiLU(0) = 0.
    """
    users, n_queries, heads, width = q_bqHd.shape
    groups = k_bkGd.shape[2]
    repeat = heads // groups
    # The r heads of a group are more queries over the same keys; with one group nothing is copied.
    q = q_bqHd.view(users, n_queries, groups, repeat, width).transpose(1, 2)
    q = q.reshape(users * groups, n_queries * repeat, width)
    k = k_bkGd.transpose(1, 2).reshape(users * groups, -1, width)
    v = v_bkGd.transpose(1, 2).reshape(users * groups, -1, width)
    scores = torch.bmm(q, k.transpose(1, 2))
    if visible_bq is not None:
        scores = _masked(scores, visible_bq, groups, repeat)
    a = torch.bmm(functional.silu(scores), v).view(users, groups, n_queries, repeat, width)
    return a.transpose(1, 2).reshape(users, n_queries, heads, width)


def self_attention(q_LHd: Tensor, k_LGd: Tensor, v_LGd: Tensor) -> Tensor:
    """What each token gives itself: SiLU(q^h · k^g) v^g, [L, H, d]."""
    length, heads, width = q_LHd.shape
    groups = k_LGd.shape[1]
    q = q_LHd.view(length, groups, heads // groups, width)
    scores = (q * k_LGd[:, :, None]).sum(dim=-1, keepdim=True)
    return (functional.silu(scores) * v_LGd[:, :, None]).view(length, heads, width)


def _masked(scores: Tensor, visible_bq: Tensor, groups: int, repeat: int) -> Tensor:
    users, n_queries = visible_bq.shape
    n_keys = scores.shape[-1]
    hidden_bqk = torch.arange(n_keys, device=scores.device) >= visible_bq[:, :, None]
    shaped = scores.view(users, groups, n_queries, repeat, n_keys)
    return shaped.masked_fill(hidden_bqk[:, None, :, None], 0).view_as(scores)
