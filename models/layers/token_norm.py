"""Layer normalisation with a gain and bias for each token place.

n rows, T token places, W width of a token.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.axes import Axes, Labels
from models.layers.per_token import ALL


class TokenNorm(nn.Module):
    """LN(x_t) = γ_t ⊙ (x_t - mean(x_t)) / √(var(x_t) + ε) + β_t: [n, T, W] → [n, T, W].

    `places` are those of the tokens given, by default all.
    """

    def __init__(self, tokens: int, width: int, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(tokens, width))
        self.bias = nn.Parameter(torch.zeros(tokens, width))
        self.epsilon = epsilon

    def forward(self, x_nTW: Tensor, places: slice = ALL) -> Tensor:
        x = x_nTW.to(self.gain.dtype)
        normal = functional.layer_norm(x, x.shape[-1:], eps=self.epsilon)
        return torch.addcmul(self.bias[places], self.gain[places], normal)

    def axes(self, tokens: Labels) -> Axes:
        """Of the tokens' places."""
        return {"gain": (tokens, None), "bias": (tokens, None)}
