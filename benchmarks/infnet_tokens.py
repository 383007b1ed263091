"""An INFNet block on 1,024 and on 2,048 tokens, and full self-attention on 2,048 (INFNet 3.2).

Preset `paper` (d 64, 16 categorical and 4 shared hubs), 3 behavior types, 3 tasks, 20 categorical
tokens; all other tokens are of the sequence. Checked first: 1,024 tokens and as many of padding
give what the 1,024 give alone. Self-attention is one layer of four heads, LN(x + W_O MHA(x)),
without a feed-forward network, by torch's fused kernel. Measured: forward and backward in CPU
time, by turns; the median ratio counts.
"""

import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.infnet import Infnet, InfnetConfig
from models.infnet.block import InfnetBlock, State, Tokens

CONFIG: InfnetConfig = Infnet.presets["paper"]
SAMPLES, CATEGORICAL, TYPES, TASKS = 4, 20, 3, 3
HUBS = {"C": CONFIG.categorical_hubs, "S": TYPES, "T": TASKS + CONFIG.shared_hubs}
SHORT, LONG = 1024, 2048
HEADS = 4
REPEATS = 9


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    block = InfnetBlock(HUBS, CONFIG)
    check_padding_changes_nothing(block)
    short, long = (block_pass(block, n - CATEGORICAL - TASKS) for n in (SHORT, LONG))
    full = attention_pass()
    seconds = [[cpu_seconds(one) for one in (short, long, full)] for _ in range(REPEATS + 1)][1:]
    print("ms of 1,024, 2,048 and self-attention:", [round(1000 * s, 1) for s in seconds[-1]])
    growth = statistics.median(long / short for short, long, _ in seconds)
    faster = statistics.median(full / long for _, long, full in seconds)
    print(f"FIGURE infnet_block_2048_vs_1024 {growth:.2f} 2.1 {verdict(growth <= 2.1)}")
    print(f"FIGURE infnet_block_vs_self_attention_2048 {faster:.1f} 8 {verdict(faster >= 8)}")


def verdict(reached: bool) -> str:
    return "ok" if reached else "short"


def inputs(n_sequence: int) -> tuple[State, dict[str, Tensor]]:
    """Tokens and hubs of `SAMPLES` requests of one sample each."""
    sizes = {"C": CATEGORICAL, "S": n_sequence, "T": TASKS}
    tokens = {
        group: Tokens(torch.randn(SAMPLES, 1, n, CONFIG.width, requires_grad=True))
        for group, n in sizes.items()
    }
    tokens["S"] = Tokens(tokens["S"].x, torch.full((SAMPLES,), n_sequence))
    return tokens, {group: torch.randn(SAMPLES, 1, n, CONFIG.width) for group, n in HUBS.items()}


def check_padding_changes_nothing(block: InfnetBlock) -> None:
    """Raises AssertionError if padding moves a hub or a token."""
    tokens, hubs = inputs(SHORT)
    padded = functional.pad(tokens["S"].x, (0, 0, 0, SHORT))
    alone, hubs_alone = block(tokens, hubs)
    beside, hubs_beside = block(tokens | {"S": Tokens(padded, tokens["S"].lengths)}, hubs)
    for group in HUBS:
        torch.testing.assert_close(hubs_alone[group], hubs_beside[group])
    torch.testing.assert_close(alone["S"].x, beside["S"].x[:, :, :SHORT])
    print("padding changes nothing")


def block_pass(block: InfnetBlock, n_sequence: int) -> Callable[[], None]:
    """Forward and backward of the whole block."""
    tokens, hubs = inputs(n_sequence)

    def run() -> None:
        block.zero_grad()
        updated, _ = block(tokens, hubs)
        torch.stack([one.x.sum() for one in updated.values()]).sum().backward()

    return run


def attention_pass() -> Callable[[], None]:
    """Forward and backward of one layer of full self-attention on as many tokens."""
    layer = SelfAttention(CONFIG.width)
    x = torch.randn(SAMPLES, LONG, CONFIG.width, requires_grad=True)

    def run() -> None:
        layer.zero_grad()
        layer(x).sum().backward()

    return run


class SelfAttention(nn.Module):
    """LN(x + W_O MHA(x)): [n, T, d] → [n, T, d]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, x_nTd: Tensor) -> Tensor:
        heads = self.qkv(x_nTd).unflatten(2, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
        q, k, v = heads.unbind()
        a = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        updated: Tensor = self.norm(x_nTd + self.out(a))
        return updated


def cpu_seconds(run: Callable[[], None]) -> float:
    """CPU time of one call: the machine may be shared."""
    start = time.process_time()
    run()
    return time.process_time() - start


if __name__ == "__main__":
    main()
