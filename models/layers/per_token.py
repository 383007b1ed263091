"""Layers with weights of their own for each token place, as one batched matrix product.

n rows, T token places, I inner width, O outer width. `places` are those of the tokens given, by
default all: tokens that several rows share are then computed once.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.axes import Axes, Labels, under
from models.layers.grouped import uniform

ALL = slice(None)


class PerTokenLinear(nn.Module):
    """y_t = W_t x_t + b_t for the token at place t: [n, T, I] → [n, T, O].

    Source: the per-token FFN of RankMixer (MDL 3.1.2), the token-specific projections of HHSFT
    (UniScale 3.4.1, equation 1; there without b).
    """

    def __init__(self, tokens: int, inner: int, outer: int, *, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(uniform(inner, tokens, inner, outer))
        self.bias = nn.Parameter(uniform(inner, tokens, 1, outer)) if bias else None

    def forward(self, x_nTI: Tensor, places: slice = ALL) -> Tensor:
        x_TnI, weight = x_nTI.transpose(0, 1), self.weight[places]
        if self.bias is None:
            return torch.bmm(x_TnI, weight).transpose(0, 1)
        return torch.baddbmm(self.bias[places], x_TnI, weight).transpose(0, 1)

    def axes(self, tokens: Labels) -> Axes:
        """Of the tokens' places."""
        return {name: (tokens, None, None) for name, _ in self.named_parameters()}


class PerTokenFfn(nn.Module):
    """FFN_t(x_t) = W2_t SiLU(W1_t x_t + b1_t) + b2_t: [n, T, I] → [n, T, O]."""

    def __init__(self, tokens: int, inner: int, hidden: int, outer: int) -> None:
        super().__init__()
        self.first = PerTokenLinear(tokens, inner, hidden)
        self.second = PerTokenLinear(tokens, hidden, outer)

    def forward(self, x_nTI: Tensor) -> Tensor:
        y: Tensor = self.second(functional.silu(self.first(x_nTI)))
        return y

    def axes(self, tokens: Labels) -> Axes:
        """Of the tokens' places."""
        first, second = self.first.axes(tokens), self.second.axes(tokens)
        return {**under("first", first), **under("second", second)}


class TaskHeads(nn.Module):
    """logit_k = w_k · SiLU(W_k t_k + b_k) + c_k for the token of task k: [n, K, I] → [n, K].

    Source: a task-specific MLP on each task's token (INFNet 3.3, equation 11; MDL 3.5, 16).
    """

    def __init__(self, tasks: int, inner: int, hidden: int) -> None:
        super().__init__()
        self.first = PerTokenLinear(tasks, inner, hidden)
        self.out = nn.Parameter(uniform(hidden, tasks, hidden))
        self.out_bias = nn.Parameter(torch.zeros(tasks))

    def forward(self, t_nKI: Tensor) -> Tensor:
        hidden = functional.silu(self.first(t_nKI))
        # Not a matrix product: autocast would round it, and bfloat16 logits would tie.
        return (hidden * self.out).sum(dim=2) + self.out_bias

    def axes(self, tasks: Labels) -> Axes:
        """Of the tasks."""
        first = under("first", self.first.axes(tasks))
        return {**first, "out": (tasks, None), "out_bias": (tasks,)}
