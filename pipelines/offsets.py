"""Which events a sealed window could know: how far each file or partition was read by its cut."""

from collections.abc import Mapping
from pathlib import Path

from pipelines.drivers.direct.readings import Readings


def read_before(state: Path, cut_ms: int) -> Mapping[str, int | None]:
    """For each file or partition the position up to which it was read before the cut was evaluated.

    None: all that was read of it. What was read from that position on could not touch the window
    when it was sealed. Empty if the folder is not a pipeline's state.
    """
    bounds: dict[str, int | None] = {}
    for name, stretches in Readings.load(state / "journal").stretches.items():
        after = [
            one.first_position
            for one in stretches
            if one.last_cut_ms is not None and one.last_cut_ms >= cut_ms
        ]
        bounds[name] = min(after, default=None)
    return bounds
