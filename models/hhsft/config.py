"""Sizes of an HHSFT."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from models.base import ModelError
from models.tables import TableConfig


@dataclass(frozen=True)
class HhsftConfig:
    """Sizes, under the paper's symbols (UniScale 3.4, 4.4).

    Raises:
        ModelError: no layer of a kind, or heads that do not divide their width.
    """

    d_h: int
    """d_H: width of a block's token."""
    layers: int
    """L_H: layers of heterogeneous feature attention."""
    heads: int
    """Heads of such a layer."""
    d_g: int
    """d_G: width of a global token."""
    global_tokens: int
    """m: global tokens; the representation z is m · d_G wide."""
    global_layers: int
    """L_G: layers of global feature attention."""
    global_heads: int
    """Heads of such a layer."""
    ffn_ratio: int
    """How many times as wide as a layer the hidden layer of its FFN is."""
    expert_hidden: int
    """Hidden width of every expert."""
    expert_width: int
    """Width of what every expert gives, and of the domain attention."""
    embedding: int
    """Width of an embedded feature."""
    sequence_scale: float
    """What embeddings of actions are multiplied by. With 1 an item's row serves candidates and
    actions; with anything else actions have rows of their own, which move that much slower."""
    tables: TableConfig

    def __post_init__(self) -> None:
        for name, layers in (("layers", self.layers), ("global_layers", self.global_layers)):
            if layers < 1:
                raise ModelError(f"hhsft: expected {name} to be 1 or more, received {layers}")
        _check_divides("heads", self.heads, "d_h", self.d_h)
        _check_divides("global_heads", self.global_heads, "d_g", self.d_g)


def _check_divides(name: str, heads: int, of: str, width: int) -> None:
    if heads < 1 or width % heads:
        raise ModelError(
            f"hhsft: expected {of} to be a multiple of {name} = {heads}, received {of} = {width}"
        )


PRESETS: Mapping[str, HhsftConfig] = MappingProxyType(
    {
        "tiny": HhsftConfig(
            d_h=16,
            layers=1,
            heads=2,
            d_g=8,
            global_tokens=2,
            global_layers=1,
            global_heads=1,
            ffn_ratio=1,
            expert_hidden=16,
            expert_width=8,
            embedding=8,
            sequence_scale=1.0,
            tables=TableConfig(rows=1 << 10, std=0.025),
        ),
        "demo": HhsftConfig(
            d_h=32,
            layers=1,
            heads=2,
            d_g=16,
            global_tokens=4,
            global_layers=1,
            global_heads=2,
            ffn_ratio=2,
            expert_hidden=64,
            expert_width=32,
            embedding=16,
            sequence_scale=1.0,
            tables=TableConfig(rows=1 << 20, std=0.025),
        ),
        "paper": HhsftConfig(
            d_h=1648,
            layers=1,
            heads=8,
            d_g=256,
            global_tokens=8,
            global_layers=1,
            global_heads=4,
            ffn_ratio=1,
            expert_hidden=1024,
            expert_width=256,
            embedding=64,
            sequence_scale=1.0,
            tables=TableConfig(rows=1 << 24, std=0.025),
        ),
    }
)
