"""MDL's per-token networks as batched matrix products against a loop over tokens.

The FFNs of one block for 6 feature tokens and 20 task tokens (the paper has more than 20 tasks)
at the width that preset `demo` has then, forward and backward. The figure is of a request of 24
candidates; more rows and wider tokens are printed beside it: there both sides wait for the same
products, and the ratio falls. Checked first: both give the same. Measured: CPU time on one
thread, by turns; the median ratio counts.
"""

import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from models.layers.per_token import PerTokenFfn
from models.mdl.config import PRESETS
from models.mdl.model import width_of

FEATURES, TASKS, CANDIDATES = 6, 20, 24
REPEATS = 9
GOAL = 3.0


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    width = width_of(PRESETS["demo"], FEATURES)
    ratio = measured(CANDIDATES, width)
    for rows, wide in ((8, width), (128, width), (CANDIDATES, 4 * width)):
        print(f"{rows} candidates, width {wide}: {measured(rows, wide):.1f}")
    verdict = "ok" if ratio >= GOAL else "short"
    print(f"FIGURE mdl_per_token_vs_loop {ratio:.1f} {GOAL:.0f} {verdict}")


def measured(rows: int, width: int) -> float:
    """How many times the loop takes what batched products take; raises if they differ."""
    hidden = PRESETS["demo"].ffn_ratio * width
    ffns = [PerTokenFfn(tokens, width, hidden, width) for tokens in (FEATURES, TASKS)]
    tokens = [torch.randn(rows, n, width, requires_grad=True) for n in (FEATURES, TASKS)]
    pairs = list(zip(ffns, tokens, strict=True))
    for ffn, x in pairs:
        torch.testing.assert_close(ffn(x), loop_over_tokens(ffn, x))

    def batched() -> Tensor:
        return sum(ffn(x).sum() for ffn, x in pairs)

    def looped() -> Tensor:
        return sum(loop_over_tokens(ffn, x).sum() for ffn, x in pairs)

    ratios = [seconds(looped) / seconds(batched) for _ in range(REPEATS + 1)][1:]
    return statistics.median(ratios)


def loop_over_tokens(ffn: PerTokenFfn, x_nTd: Tensor) -> Tensor:
    """The same networks, token by token."""
    weights = (ffn.first.weight, ffn.first.bias, ffn.second.weight, ffn.second.bias)
    parts = []
    for x, w1, b1, w2, b2 in zip(x_nTd.unbind(1), *weights, strict=True):
        hidden = functional.silu(functional.linear(x, w1.T, b1[0]))
        parts.append(functional.linear(hidden, w2.T, b2[0]))
    return torch.stack(parts, dim=1)


def seconds(compute: Callable[[], Tensor]) -> float:
    """CPU time of five passes forward and backward."""
    start = time.process_time()
    for _ in range(5):
        compute().backward()
    return time.process_time() - start


if __name__ == "__main__":
    main()
