"""A plain multi-layer perceptron."""

from collections.abc import Sequence
from contextlib import nullcontext
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional


def mlp(widths: Sequence[int]) -> nn.Sequential:
    """Linear layers of these widths with SiLU between them: [n, widths[0]] → [n, widths[-1]].

    >>> [type(layer).__name__ for layer in mlp([8, 4, 2])]
    ['Linear', 'SiLU', 'Linear']
    """
    layers: list[nn.Module] = []
    for wide, narrow in pairwise(widths):
        layers += [nn.Linear(wide, narrow), nn.SiLU()]
    return nn.Sequential(*layers[:-1])


class FullPrecisionLinear(nn.Linear):
    """A linear layer that autocast leaves alone: for logits, which would tie in bfloat16."""

    def forward(self, x: Tensor) -> Tensor:
        kind = x.device.type
        # Tensors that have shapes only, on the device "meta", know no autocast.
        has_autocast = torch.amp.is_autocast_available(kind)
        with torch.autocast(kind, enabled=False) if has_autocast else nullcontext():
            return functional.linear(x.to(self.weight.dtype), self.weight, self.bias)
