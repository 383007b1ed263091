"""One verdict an event: the first reason that applies wins."""

import numpy as np
import numpy.typing as npt

from pipelines.dead_letters import EVENT_REASONS
from pipelines.sources.raw import Int64Array


class Verdicts:
    """The reason and field for which each of n events is refused, if any."""

    def __init__(self, events: int) -> None:
        self._reason = np.zeros(events, np.int8)
        self._field = np.zeros(events, np.int16)
        self._paths: list[str | None] = []

    def refuse(self, events: Int64Array, reason: str, path: str | None) -> None:
        """Refuse those of these events, by number, that stand so far."""
        fresh = events[self._reason[events] == 0]
        if len(fresh):
            self._reason[fresh] = EVENT_REASONS.index(reason) + 1
            self._field[fresh] = len(self._paths)
            self._paths.append(path)

    def accepted(self) -> npt.NDArray[np.bool_]:
        """Which events stand, shape [events]."""
        standing: npt.NDArray[np.bool_] = self._reason == 0
        return standing

    def refused(self) -> list[tuple[int, str, str | None]]:
        """Number, reason and field of each refused event, in order."""
        return [
            (int(event), EVENT_REASONS[self._reason[event] - 1], self._paths[self._field[event]])
            for event in np.flatnonzero(self._reason)
        ]
