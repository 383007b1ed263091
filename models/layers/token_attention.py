"""Multi-head softmax attention among a few tokens of a row, all of which see each other.

n rows, Q query tokens, T key tokens, D width of all heads' keys together, V of their values.
"""

from torch import Tensor
from torch.nn import functional


def token_attention(q_nQD: Tensor, k_nTD: Tensor, v_nTV: Tensor, heads: int) -> Tensor:
    """∥_h softmax(Q^h K^hᵀ / √d) V^h, d = D / heads: [n, Q, V].

    Source: Vaswani et al. 2017; the attention of HHSFT (UniScale 3.4.1) and of its DAPGA (3.4.2).
    """
    q, k, v = (x.view(*x.shape[:2], heads, -1).transpose(1, 2) for x in (q_nQD, k_nTD, v_nTV))
    return functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
