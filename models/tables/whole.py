"""All of a table out of the changes that made it up, without a table: tensors on the host.

A version is written so while training goes on: from what checkpoints have on the disk, and not
from the table, which changes meanwhile.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

Placed = tuple[Tensor | None, Tensor]
"""The places, which ascend, where values belong, and these; None: from the first place on."""


def overlaid(parts: Sequence[Placed]) -> Tensor:
    """Values as they lie after each part was written over those before it."""
    ends = [_end(at, len(values)) for at, values in parts]
    first = parts[0][1]
    whole = torch.empty(max(ends), *first.shape[1:], dtype=first.dtype)
    for (at, values), end in zip(parts, ends, strict=True):
        whole[slice(end) if at is None or len(at) == end else at.cpu()] = values.cpu()
    return whole


def whole_rows(parts: Sequence[Mapping[str, Tensor]], names: Sequence[str]) -> dict[str, Tensor]:
    """By name what has a row a row, of a table whose changes these are."""
    return {name: overlaid([(one.get("rows"), one[name]) for one in parts]) for name in names}


def whole_slots(parts: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """What `Slots.live` gives of slots whose changes these are."""
    free = [(_after(one["free_from"], one["free"]), one["free"]) for one in parts]
    return {
        "ids": overlaid([(one.get("slots"), one["ids"]) for one in parts]),
        "last_used": overlaid([(one.get("slots"), one["last_used"]) for one in parts]),
        "free": overlaid(free)[: int(parts[-1]["free_from"]) + len(parts[-1]["free"])],
        "free_from": torch.zeros(1, dtype=torch.int64),
        "head": parts[-1]["head"],
    }


def _after(start: Tensor, values: Tensor) -> Tensor:
    return torch.arange(int(start), int(start) + len(values))


def _end(at: Tensor | None, n: int) -> int:
    return n if at is None or n == 0 else int(at[-1]) + 1
