"""Feedback by what it is on: clicks on candidates, purchases after clicks, refunds."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from benchmarks.speed_world.columns import Ints, Rng


@dataclass(frozen=True)
class Acts:
    """Feedback by what it is on: request, candidate and time, each [n]."""

    request: Ints
    item: Ints
    time_ms: Ints


def clicks_on(rng: Rng, count: int, time_ms: Ints, item: Ints) -> Acts:
    """Clicks within twenty minutes of random requests, mostly on the upper candidates."""
    request = rng.integers(len(time_ms), size=count)
    depth = np.minimum(rng.geometric(0.35, count) - 1, item.shape[1] - 1)
    wait_ms = np.minimum(rng.exponential(60_000, count), 20 * 60_000).astype(np.int64)
    return Acts(request, item[request, depth], time_ms[request] + wait_ms)


def after(rng: Rng, before: Acts, count: int, mean_minutes: int, most_minutes: int) -> Acts:
    """Other feedback on what some earlier feedback was on, a while later."""
    chosen = rng.integers(len(before.request), size=count)
    wait_ms = np.minimum(rng.exponential(mean_minutes, count), most_minutes) * 60_000
    time_ms = before.time_ms[chosen] + wait_ms.astype(np.int64)
    return Acts(before.request[chosen], before.item[chosen], time_ms)


def refunds(rng: Rng, feedback: dict[str, pa.Table], count: int) -> pa.Table:
    """Retractions of purchases and, fewer, of clicks, within fifty minutes."""
    parts = []
    for stream, share in (("click", 0.3), ("buy", 0.7)):
        table = feedback[stream]
        rows = rng.choice(table.num_rows, int(count * share), replace=False)
        events = table.take(pa.array(rows))
        wait_ms = np.minimum(rng.exponential(12, len(rows)), 50) * 60_000
        parts.append(
            pa.table(
                {
                    "stream": pa.repeat(stream, len(rows)),
                    "event_id": events["event_id"],
                    "user_id": events["user_id"],
                    "time_ms": pa.array(events["time_ms"].to_numpy() + wait_ms.astype(np.int64)),
                }
            )
        )
    return pa.concat_tables(parts)
