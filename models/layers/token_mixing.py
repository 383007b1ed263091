"""Multi-head token mixing without parameters, RankMixer's; part of MDL 3.2.1, equation (6)."""

from torch import Tensor


def token_mixing(x_NFd: Tensor) -> Tensor:
    """Cut each of F tokens into F pieces; token h of the result is piece h of every token.

        TokenMixing(T)_h = T_1[h] ∥ T_2[h] ∥ … ∥ T_F[h]

    [N, F, d] → [N, F, d]; F must divide d. As many heads as tokens keep the shape.
    """
    n, tokens, width = x_NFd.shape
    return x_NFd.reshape(n, tokens, tokens, -1).transpose(1, 2).reshape(n, tokens, width)
