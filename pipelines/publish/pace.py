"""When events go out: all streams together in order of arrival, as fast as can be or paced."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from pipelines.sources.raw import Int64Array

ROWS_AT_ONCE = 20_000
TICK_S = 0.25
"""Paced events go out so often."""

Chunk = tuple[int, dict[str, pa.Table]]
"""An event time, and what arrives up to it by stream."""


def chunks(tables: Mapping[str, pa.Table], step_ms: int | None) -> Iterator[Chunk]:
    """Cut the tables, whose rows are in order of arrival, at the same moments.

    An event arrives no earlier than those before it in its table: what is late stays late. With a
    `step_ms` the moments are that far apart, else so that about `ROWS_AT_ONCE` rows lie between.
    """
    arrivals = {
        name: np.maximum.accumulate(table["time_ms"].to_numpy())
        for name, table in tables.items()
        if table.num_rows
    }
    if not arrivals:
        return
    done = dict.fromkeys(arrivals, 0)
    for moment_ms in _moments(np.sort(np.concatenate(list(arrivals.values()))), step_ms):
        part = {}
        for name, arrival in arrivals.items():
            upto = int(np.searchsorted(arrival, moment_ms, side="right"))
            if upto > done[name]:
                part[name] = tables[name].slice(done[name], upto - done[name])
                done[name] = upto
        yield moment_ms, part


def _moments(arrivals: Int64Array, step_ms: int | None) -> list[int]:
    if step_ms is None:
        return [*np.unique(arrivals[ROWS_AT_ONCE - 1 :: ROWS_AT_ONCE]).tolist(), int(arrivals[-1])]
    ticks = np.unique(-(-arrivals // step_ms))
    moments: list[int] = (ticks * step_ms).tolist()
    return moments


@dataclass
class Pace:
    """Event time that runs `speed` times as fast as the clock; None: it does not matter."""

    speed: float | None
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    _first: tuple[int, float] | None = field(default=None)

    @property
    def step_ms(self) -> int | None:
        """How far apart in event time events go out."""
        return None if self.speed is None else max(1, round(self.speed * TICK_S * 1_000))

    def wait_for(self, moment_ms: int) -> None:
        """Return when it is this event time; the first one is now."""
        if self.speed is None:
            return
        if self._first is None:
            self._first = moment_ms, self.clock()
        first_ms, first_s = self._first
        left_s = first_s + (moment_ms - first_ms) / 1_000 / self.speed - self.clock()
        if left_s > 0:
            self.sleep(left_s)
