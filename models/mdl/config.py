"""Sizes of an MDL."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from models.tables import TableConfig


@dataclass(frozen=True)
class MdlConfig:
    """Sizes under the paper's symbols, and which features make which tokens."""

    d_model: int
    """d_f = d_s = d_t: width of a token at least; see `Mdl.width`."""
    blocks: int
    """L."""
    heads: int
    """Heads of the domain-aware attention."""
    ffn_ratio: int
    """Hidden width of the per-token FFNs of a block, in widths of a token."""
    tokenizer_width: int
    """Hidden width of the FFNs that make scenario and task tokens."""
    embedding: int
    """Width of an embedded feature."""
    tables: TableConfig
    groups: tuple[tuple[str, ...], ...] = ()
    """The members of each feature token; none: by owner and kind (models.mdl.groups)."""
    important: tuple[str, ...] = ()
    """Features that scenario and task tokens read beside the ids of user and item."""
    user_ids: bool = True
    """Whether tokens read who the user is; if not, all users are one, the *missing* one."""


PRESETS: Mapping[str, MdlConfig] = MappingProxyType(
    {
        "tiny": MdlConfig(
            d_model=16,
            blocks=2,
            heads=2,
            ffn_ratio=2,
            tokenizer_width=16,
            embedding=8,
            tables=TableConfig(rows=1 << 10, std=0.025),
        ),
        "demo": MdlConfig(
            d_model=48,
            blocks=2,
            heads=2,
            ffn_ratio=2,
            tokenizer_width=32,
            embedding=16,
            tables=TableConfig(rows=1 << 20, std=0.025),
        ),
        "paper": MdlConfig(
            d_model=768,
            blocks=2,
            heads=12,
            ffn_ratio=4,
            tokenizer_width=768,
            embedding=64,
            tables=TableConfig(rows=1 << 24, std=0.025),
        ),
    }
)
