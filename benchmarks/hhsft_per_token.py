"""HHSFT's per-token parts as batched matrix products against a loop over tokens (UniScale 3.4.1).

Norms, projections and FFN of a layer of heterogeneous feature attention, without the attention
between them, which is not by token; preset `demo`. The loop has modules of its own for each token,
with the same weights. Checked first: both give the same tokens and gradients. Measured: processor
time by turns, the median ratio counts; scoring a request of 24 candidates, as a server does, and
a training step's forward and backward on 3,072 samples.
"""

import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.hhsft import Hhsft
from models.hhsft.interaction import HeterogeneousLayer
from models.layers.per_token import PerTokenLinear
from models.layers.token_norm import TokenNorm

TOKENS = 7
REQUEST, BATCH = 24, 3072
SECONDS = 0.05
REPEATS = 9
GOAL = 3.0


class Batched(nn.Module):
    """The per-token parts as the model computes them; a token's value stands for what it sees."""

    def __init__(self, layer: HeterogeneousLayer) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, h_nTD: Tensor) -> Tensor:
        _, _, value = self.layer.projected(h_nTD).chunk(3, dim=2)
        a = h_nTD + self.layer.out(value)
        refined: Tensor = a + self.layer.ffn(self.layer.norm_ffn(a))
        return refined


class Looped(nn.Module):
    """The same, token by token."""

    def __init__(self, layer: HeterogeneousLayer) -> None:
        super().__init__()
        self.norm_in, self.norm_ffn = norms(layer.norm_in), norms(layer.norm_ffn)
        self.qkv, self.out = linears(layer.qkv), linears(layer.out)
        self.first, self.second = linears(layer.ffn.first), linears(layer.ffn.second)

    def forward(self, h_nTD: Tensor) -> Tensor:
        h = h_nTD.unbind(1)
        x = [norm(h_i) for norm, h_i in zip(self.norm_in, h, strict=True)]
        # Attention would need the tokens' projections together.
        qkv = torch.stack([qkv(x_i) for qkv, x_i in zip(self.qkv, x, strict=True)], dim=1)
        _, _, value = qkv.chunk(3, dim=2)
        refined = []
        for i, (h_i, value_i) in enumerate(zip(h, value.unbind(1), strict=True)):
            a = h_i + self.out[i](value_i)
            hidden = functional.silu(self.first[i](self.norm_ffn[i](a)))
            refined.append(a + self.second[i](hidden))
        return torch.stack(refined, dim=1)


def norms(norm: TokenNorm) -> nn.ModuleList:
    """A norm for each token, with its gain and bias."""
    made = nn.ModuleList()
    for gain, bias in zip(norm.gain, norm.bias, strict=True):
        one = nn.LayerNorm(gain.numel(), eps=norm.epsilon)
        one.weight, one.bias = copied(gain), copied(bias)
        made.append(one)
    return made


def linears(layer: PerTokenLinear) -> nn.ModuleList:
    """A linear layer for each token, with its weights."""
    made = nn.ModuleList()
    for token, weight in enumerate(layer.weight):
        one = nn.Linear(*weight.shape, bias=layer.bias is not None)
        one.weight = copied(weight.T)
        if layer.bias is not None:
            one.bias = copied(layer.bias[token, 0])
        made.append(one)
    return made


def copied(weight: Tensor) -> nn.Parameter:
    """The same numbers as a parameter of its own."""
    return nn.Parameter(weight.detach().clone().contiguous())


def main() -> None:
    """Check that both sides agree, then print a figure for each use."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = Hhsft.presets["demo"]
    layer = HeterogeneousLayer(config, TOKENS)
    batched, looped = Batched(layer), Looped(layer)
    check_equal(batched, looped, torch.randn(5, TOKENS, config.d_h))
    for name, rows, use in (("scoring", REQUEST, scoring), ("training", BATCH, training)):
        x = torch.randn(rows, TOKENS, config.d_h)
        ratio = ratio_of(use(looped, x), use(batched, x))
        verdict = "ok" if ratio >= GOAL else "short"
        print(f"FIGURE hhsft_per_token_{name} {ratio:.2f} {GOAL:.0f} {verdict}", flush=True)


def check_equal(one: nn.Module, other: nn.Module, x: Tensor) -> None:
    """Raises AssertionError if the two differ in what they give or in the gradient of x."""
    results = []
    for parts in (one, other):
        leaf = x.clone().requires_grad_()
        y = parts(leaf)
        y.square().sum().backward()
        results.append((y, leaf.grad))
    torch.testing.assert_close(results[0], results[1])
    print("both give the same tokens and gradients")


def scoring(parts: nn.Module, x: Tensor) -> Callable[[], None]:
    """Forward alone."""

    def call() -> None:
        with torch.no_grad():
            parts(x)

    return call


def training(parts: nn.Module, x: Tensor) -> Callable[[], None]:
    """Forward and backward."""

    def call() -> None:
        parts(x).sum().backward()

    return call


def ratio_of(slow: Callable[[], None], fast: Callable[[], None]) -> float:
    """The median of how many times the fast one's time the slow one takes, by turns."""
    times = max(1, int(SECONDS / seconds(fast, 3)))
    ratios = [seconds(slow, times) / seconds(fast, times) for _ in range(REPEATS)]
    return statistics.median(ratios)


def seconds(call: Callable[[], None], times: int) -> float:
    """Processor time of one call, the mean of several."""
    start = time.process_time()
    for _ in range(times):
        call()
    return (time.process_time() - start) / times


if __name__ == "__main__":
    main()
