"""Packed tokens of users of unlike length, as a few small padded blocks.

Users of like length form a block, so that a block pads little. Padding is zero, and
SiLU attention ignores zeros by itself: a zero key has score 0 and SiLU(0) = 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Blocks:
    """Users cut into blocks of like length."""

    order: Tensor
    """int64 [B]: users, block after block."""
    sizes: tuple[int, ...]
    """Users of each block."""


@dataclass(frozen=True)
class Padding:
    """Where the tokens of one kind stand in the blocks."""

    slots: Tensor
    """int64 [L]: token → slot; slots run on from block to block."""
    shapes: tuple[tuple[int, int], ...]
    """(users, longest) of each block."""

    def pad(self, x: Tensor) -> list[Tensor]:
        """[L, …] → a zero-padded [users, longest, …] for each block."""
        sizes = [users * longest for users, longest in self.shapes]
        flat = x.new_zeros(sum(sizes), *x.shape[1:]).index_copy(0, self.slots, x)
        parts = zip(torch.split(flat, sizes), self.shapes, strict=True)
        return [part.view(*shape, *x.shape[1:]) for part, shape in parts]

    def unpad(self, blocks: Sequence[Tensor]) -> Tensor:
        """The inverse of `pad`."""
        return torch.cat([block.flatten(0, 1) for block in blocks]).index_select(0, self.slots)


def blocks_of(history: Tensor, late: Tensor) -> Blocks:
    """Cut users by both lengths, int64 [B] each: of the history, and of all that follows it.

    Users share a block if both lengths are of one class: up to 16, 32, 64 … and up to 8, 32,
    128 … tokens. These classes make few blocks that pad little; see docs/models/mtfm.md.
    """
    block = 64 * size_class(history, least=16, growth=2) + size_class(late, least=8, growth=4)
    order = torch.argsort(block, stable=True)
    _, sizes = torch.unique(block, return_counts=True)
    return Blocks(order, tuple(sizes.tolist()))


def size_class(lengths: Tensor, least: int, growth: int) -> Tensor:
    """0 up to `least`, 1 up to `least · growth`, and so on.

    >>> size_class(torch.tensor([0, 16, 17, 40]), least=16, growth=2)
    tensor([0, 0, 1, 2])
    """
    bounds = least * growth ** torch.arange(16)
    return torch.bucketize(lengths, bounds)


def padding_of(blocks: Blocks, offsets: Tensor) -> Padding:
    """Places for the tokens of users with these offsets int64 [B + 1]."""
    counts = offsets.diff()
    longest = [int(part.max()) for part in torch.split(counts[blocks.order], list(blocks.sizes))]
    width = torch.repeat_interleave(torch.tensor(longest), torch.tensor(blocks.sizes))
    start = torch.empty_like(counts)
    start[blocks.order] = width.cumsum(0) - width
    within = torch.arange(int(offsets[-1]))
    slots = within + torch.repeat_interleave(start - offsets[:-1], counts)
    return Padding(slots, tuple(zip(blocks.sizes, longest, strict=True)))
