"""Packed tokens of users of unlike length, as a few small padded blocks.

Users are sorted by length and cut into blocks, so that a block pads little. Padding is zero, and
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


def blocks_of(lengths: Tensor, least: int = 16, shrink: float = 0.75) -> Blocks:
    """Cut users of these lengths int64 [B], longest first.

    A block ends where a user is shorter than `shrink` of its longest; lengths below `least`
    are all alike.
    """
    order = torch.argsort(lengths, descending=True, stable=True)
    sizes: list[int] = []
    floor = float("inf")
    for length in lengths[order].tolist():
        if length < floor:
            sizes.append(0)
            floor = shrink * length if length > least else 0
        sizes[-1] += 1
    return Blocks(order, tuple(sizes))


def padding_of(blocks: Blocks, offsets: Tensor) -> Padding:
    """Places for the tokens of users with these offsets int64 [B + 1]."""
    counts = offsets.diff()
    longest = [int(part.max()) for part in torch.split(counts[blocks.order], list(blocks.sizes))]
    width = torch.repeat_interleave(
        torch.tensor(longest, device=counts.device),
        torch.tensor(blocks.sizes, device=counts.device),
    )
    start = torch.empty_like(counts)
    start[blocks.order] = width.cumsum(0) - width
    within = torch.arange(int(offsets[-1]), device=counts.device)
    slots = within + torch.repeat_interleave(start - offsets[:-1], counts)
    return Padding(slots, tuple(zip(blocks.sizes, longest, strict=True)))
