"""Sizes of an INFNet."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from models.base import ModelError
from models.tables import TableConfig


@dataclass(frozen=True)
class InfnetConfig:
    """Sizes, under the paper's symbols (INFNet, table 1 and section 4.4).

    Raises:
        ModelError: no block, no categorical hub, or a negative number of shared hubs.
    """

    width: int
    """d: width of every token, hub and embedded feature."""
    blocks: int
    """L; the last one serves the tasks alone."""
    categorical_hubs: int
    """n_c."""
    shared_hubs: int
    """n_shared: task hubs beside one a task."""
    projections: bool
    """Whether cross-attention projects queries, keys and values (equation 5 prints none)."""
    hub_hidden: int
    """Hidden width of φ_cat."""
    sequence_hidden: int
    """Hidden width of each behavior type's MLP."""
    broadcast_hidden: int
    """Hidden width of MLP_bgu."""
    head_hidden: int
    """Hidden width of each task's head."""
    positions: int
    """Learned positions of a sequence, counted from the newest; older items share the last."""
    sequence_scale: float
    """What embeddings of actions' items and features are multiplied by. With 1 an item's row serves
    candidates and actions; with anything else actions have rows of their own, which move that much
    slower."""
    tables: TableConfig

    def __post_init__(self) -> None:
        least = {"width": 1, "blocks": 1, "categorical_hubs": 1, "shared_hubs": 0, "positions": 1}
        for name, bound in least.items():
            if getattr(self, name) < bound:
                raise ModelError(
                    f"infnet: expected {name} to be at least {bound}, "
                    f"received {name} = {getattr(self, name)}"
                )


PRESETS: Mapping[str, InfnetConfig] = MappingProxyType(
    {
        "tiny": InfnetConfig(
            width=8,
            blocks=2,
            categorical_hubs=2,
            shared_hubs=1,
            projections=False,
            hub_hidden=16,
            sequence_hidden=8,
            broadcast_hidden=16,
            head_hidden=8,
            positions=32,
            sequence_scale=1.0,
            tables=TableConfig(rows=1 << 10, std=0.025),
        ),
        "demo": InfnetConfig(
            width=16,
            blocks=2,
            categorical_hubs=4,
            shared_hubs=2,
            projections=False,
            hub_hidden=64,
            sequence_hidden=32,
            broadcast_hidden=32,
            head_hidden=32,
            positions=128,
            sequence_scale=1.0,
            tables=TableConfig(rows=1 << 20, std=0.1),
        ),
        "paper": InfnetConfig(
            width=64,
            blocks=4,
            categorical_hubs=16,
            shared_hubs=4,
            projections=False,
            hub_hidden=1024,
            sequence_hidden=64,
            broadcast_hidden=64,
            head_hidden=64,
            positions=1024,
            sequence_scale=1.0,
            tables=TableConfig(rows=1 << 24, std=0.025),
        ),
    }
)
