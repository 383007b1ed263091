"""Group layer normalisation (GLN), MTFM 3.2.2, equation (6)."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.axes import Axes, Labels


class GroupLayerNorm(nn.Module):
    """Normalise each token over its width; scale and shift it by its group's own vectors.

        GLN(x) = γ_g ⊙ (x - mean(x)) / √(var(x) + ε) + β_g        g = group of the token

    Forward: x [L, D], group int64 [L] → [L, D]. Groups: one for each history stream, recent
    stream and scenario (MTFM 3.2.2).
    """

    def __init__(self, n_groups: int, width: int, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(n_groups, width))
        self.bias = nn.Parameter(torch.zeros(n_groups, width))
        self.epsilon = epsilon

    def forward(self, x: Tensor, group: Tensor) -> Tensor:
        normal = functional.layer_norm(x.to(self.gain.dtype), x.shape[-1:], eps=self.epsilon)
        return torch.addcmul(
            self.bias.index_select(0, group), self.gain.index_select(0, group), normal
        )

    def axes(self, groups: Labels) -> Axes:
        """Of the groups."""
        return {"gain": (groups, None), "bias": (groups, None)}
