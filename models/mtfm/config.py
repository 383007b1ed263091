"""Sizes of an MTFM."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from models.base import ModelError
from models.tables import TableConfig


@dataclass(frozen=True)
class MtfmConfig:
    """Sizes, under the paper's symbols (MTFM 4.1.3).

    Raises:
        ModelError: heads that do not divide the width, or groups that do not divide the heads.
    """

    d_model: int
    """Width of a token; a head is `d_model / heads` wide."""
    blocks: int
    """B: each is one full layer, then the target layers."""
    target_layers: int
    """K: target attention layers of a block."""
    heads: int
    """H: query heads."""
    groups: int
    """G: key-value heads."""
    tokenizer_width: int
    """Hidden width of the tokenizers."""
    experts: int
    """Experts that all (scenario, task) heads share."""
    expert_width: int
    embedding: int
    """Width of an embedded feature."""
    sequence_scale: float
    """What embeddings of actions are multiplied by: how fast tokens of H and R move."""
    tables: TableConfig
    recompute: bool = False
    """Whether training keeps of each layer its input alone and computes the rest once more for the
    gradient: activation checkpointing, memory for time."""

    def __post_init__(self) -> None:
        if self.d_model % self.heads:
            raise ModelError(
                f"mtfm: expected d_model to be a multiple of heads = {self.heads}, "
                f"received d_model = {self.d_model}"
            )
        if self.heads % self.groups:
            raise ModelError(
                f"mtfm: expected heads to be a multiple of groups = {self.groups}, "
                f"received heads = {self.heads}"
            )

    @property
    def head_width(self) -> int:
        return self.d_model // self.heads


PRESETS: Mapping[str, MtfmConfig] = MappingProxyType(
    {
        "tiny": MtfmConfig(
            d_model=16,
            blocks=1,
            target_layers=1,
            heads=2,
            groups=1,
            tokenizer_width=16,
            experts=2,
            expert_width=8,
            embedding=8,
            sequence_scale=0.1,
            tables=TableConfig(rows=1 << 10, std=0.025),
        ),
        "demo": MtfmConfig(
            d_model=32,
            blocks=1,
            target_layers=1,
            heads=2,
            groups=1,
            tokenizer_width=48,
            experts=4,
            expert_width=32,
            embedding=16,
            sequence_scale=0.1,
            tables=TableConfig(rows=1 << 20, std=0.025),
        ),
        "paper": MtfmConfig(
            d_model=768,
            blocks=4,
            target_layers=3,
            heads=3,
            groups=1,
            tokenizer_width=768,
            experts=8,
            expert_width=256,
            embedding=64,
            sequence_scale=0.1,
            tables=TableConfig(rows=1 << 24, std=0.025),
        ),
    }
)
