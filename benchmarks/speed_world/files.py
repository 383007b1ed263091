"""The world as files, hour by hour."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.speed_world.shop import HOUR_MS, START_MS, Shop, World
from benchmarks.speed_world.spec import speed_spec


def write_world(root: Path, events: int, world: World | None = None) -> int:
    """Write the hours that hold about `events` events below `root`; returns how many there are."""
    world = world or World()
    spec, written = speed_spec(), 0
    for stream in spec.streams:
        (root / stream).mkdir(parents=True)
    hours = max(1, round(events / world.events_per_hour))
    for hour, tables in enumerate(_hours(world, hours)):
        for stream, table in tables.items():
            path = root / stream / f"{hour:04d}.parquet"
            pq.write_table(table, path, store_schema=False)
            written += table.num_rows
    return written


def first_hours(root: Path, short: Path, hours: int) -> int:
    """Link the first hours of one world as another; returns how many events they hold."""
    held = 0
    for path in sorted(root.glob("*/*.parquet")):
        if int(path.stem) < hours:
            (short / path.parent.name).mkdir(parents=True, exist_ok=True)
            (short / path.parent.name / path.name).hardlink_to(path)
            held += pq.read_metadata(path).num_rows
    return held


def _hours(world: World, hours: int) -> Iterator[dict[str, pa.Table]]:
    """The events of one hour after the other; feedback goes to the hour of its time."""
    shop = Shop(world)
    waiting: dict[str, list[pa.Table]] = {"click": [], "buy": [], "refund": []}
    for hour in range(hours):
        rng = np.random.default_rng([world.seed, hour])
        end_ms = START_MS + (hour + 1) * HOUR_MS
        fresh = shop.hour(rng, hour)
        tables = {"exposure": _in_time_order(fresh.pop("exposure"))}
        for stream, table in fresh.items():
            rows = pa.concat_tables([*waiting[stream], table])
            due = pc.less(rows["time_ms"], end_ms)
            waiting[stream] = [rows.filter(pc.invert(due))]
            tables[stream] = _in_time_order(rows.filter(due))
        yield tables


def _in_time_order(table: pa.Table) -> pa.Table:
    return table.take(pa.array(np.argsort(table["time_ms"].to_numpy(), kind="stable")))
