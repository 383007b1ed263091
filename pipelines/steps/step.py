"""What a keyed step is. A driver keeps its state and calls it; the step knows neither."""

from collections.abc import Mapping
from typing import Protocol

import pyarrow as pa

Tables = Mapping[str, pa.Table]
"""Named tables of one shard: a step's state, input or output."""

NO_CUT = -(1 << 62)
"""The last cut before any cut has passed."""

FINAL_CUT = 1 << 62
"""The cut of a complete input (W = ∞)."""

SEGMENT = "segment-"
"""Tables of this prefix never change while a state has them: a driver writes each but once."""


class Step(Protocol):
    """A pure function over one shard's tables."""

    @property
    def name(self) -> str:
        """Names the state and the stage."""

    def advance(self, state: Tables, events: Tables, cut: int) -> tuple[Tables, Tables]:
        """Evaluate every cut up to `cut` on what `state` holds, then take in `events`.

        `events` were read while `cut` was the last cut: they act from the next one on.
        Returns the new state, or `state` itself if nothing changed, and the outputs. No I/O, no
        clock; the same arguments give the same tables, to the bit. `cut` never falls from one call
        to the next.
        """
