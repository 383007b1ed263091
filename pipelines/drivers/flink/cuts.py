"""Cuts as Beam's event time, and which cuts a shard has to be woken at.

Beam's watermark W says that nothing with a time before W is to come, and a timer at T fires once
W > T. So a watermark of ours, after which nothing with t ≤ W comes, is Beam's W + 1 ms.
"""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import Timestamp

from pipelines.arrays import Ints
from pipelines.steps.step import FINAL_CUT, Tables
from schemas.spec import Window

END = GlobalWindow().max_timestamp()
"""Where the cut of a complete input stands."""

MOST_CUTS = 1_000
"""So many cuts without an event of a shard wake it, at most, when time leaps."""

DUE = "due"
"""Names the table of cuts in a packet from the source."""


def moment_of(cut_ms: int) -> Timestamp:
    """Where a cut stands in Beam's time."""
    return END if cut_ms >= FINAL_CUT else Timestamp(micros=cut_ms * 1_000)


def cut_at(moment: Timestamp) -> int:
    """Back from `moment_of`."""
    return FINAL_CUT if moment >= END else moment.micros // 1_000


def watermark_of(watermark_ms: int) -> Timestamp:
    """Beam's form of a watermark of ours."""
    return Timestamp(micros=(watermark_ms + 1) * 1_000)


def cuts_of_events(events: Tables, window: Window) -> Ints:
    """At which cuts these events matter: an exposure at its window's, others at the next one."""
    parts = [np.empty(0, np.int64)]
    for name, table in events.items():
        time_ms = table["time_ms"].to_numpy()
        exposure = name == "exposure"
        parts.append(
            np.unique(
                window.cut(window.start(time_ms)) if exposure else window.cut_at_or_after(time_ms)
            )
        )
    return np.unique(np.concatenate(parts))


def cuts_between(after_ms: int, until_ms: int, window: Window) -> Ints:
    """The cuts in `(after_ms, until_ms]`, the last `MOST_CUTS` of them."""
    last = window.cut_at_or_before(until_ms)
    first = max(window.cut_at_or_before(after_ms), last - MOST_CUTS * window.length_ms)
    return np.arange(first + window.length_ms, last + 1, window.length_ms, dtype=np.int64)


def due(cuts: Iterable[Ints]) -> pa.Table:
    """The table that tells a shard its cuts."""
    return pa.table({"cut": np.unique(np.concatenate(list(cuts)))})
