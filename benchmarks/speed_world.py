"""A shop of known density as Parquet event files: what the speed benchmarks read.

Events come at a fixed rate an hour from a fixed crowd, so that more events mean more hours and
not a denser world; the first hours of a long world are a shorter world of the same seed. A folder
for each stream, a file for each hour, rows in order of time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from schemas.spec import Spec, parse

Ints = npt.NDArray[np.int64]
Rng = np.random.Generator

SPEC_TOML = """
name = "speed"

[source]
ordered = true

[window]
length = "1h"
maturity = "10m"

[streams.exposure]
kind = "exposure"
[streams.click]
kind = "click"
[streams.buy]
kind = "conversion"
[streams.refund]
kind = "retraction"

[domains.feed]
scenarios = ["home"]
[domains.search]
scenarios = ["results"]

[tasks.click]
stream = "click"
horizon = "10m"
retraction_horizon = "10m"
[tasks.buy]
stream = "buy"
horizon = "30m"
retraction_horizon = "30m"

[features.gender]
owner = "user"
type = "id"
[features.city]
owner = "user"
type = "id"
[features.device]
owner = "context"
type = "id"
[features.category]
owner = "item"
type = "id"
[features.brand]
owner = "item"
type = "id"
[features.seller]
owner = "item"
type = "id"
[features.price]
owner = "item"
type = "number"

[sequences]
streams = ["click", "buy"]
history = 50
recent = 30
features = ["category"]
"""

HOUR_MS = 3_600_000
START_MS = 1_735_689_600_000
"""2025-01-01T00:00Z."""

CANDIDATES = 8
SCENARIOS = np.array(["home", "results", "nowhere"])
UNKNOWN_SCENARIO = 2

EXPOSURE_SHARE, CLICK_SHARE, BUY_SHARE, REFUND_SHARE = 0.55, 0.38, 0.06, 0.01
COPIED = 0.02
"""So many events come twice: most as they were, a quarter stamped anew within two seconds."""


@dataclass(frozen=True)
class World:
    """How dense a world is; `users` are so many that each has about five requests a window."""

    events_per_hour: int = 125_000
    seed: int = 7

    @property
    def users(self) -> int:
        """The crowd."""
        return max(8, self.events_per_hour // 10)

    @property
    def items(self) -> int:
        """The catalogue."""
        return max(64, self.events_per_hour // 3)


def speed_spec() -> Spec:
    """The spec of the benchmark's world."""
    return parse(SPEC_TOML, "speed.toml")


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
    shop = _Shop(world)
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


@dataclass(frozen=True)
class _Acts:
    """Feedback by what it is on: request, candidate and time, each [n]."""

    request: Ints
    item: Ints
    time_ms: Ints


class _Shop:
    """Who visits, what is on the shelves, and what happens in an hour."""

    def __init__(self, world: World) -> None:
        rng = np.random.default_rng(world.seed)
        self.world = world
        self.visits = _zipf(world.users, 0.5)
        self.sales = _zipf(world.items, 0.7)
        self.user = _words("u", np.arange(world.users))
        self.item = _words("i", np.arange(world.items))
        self.category = _words("k", rng.integers(200, size=world.items))
        self.brand = _words("m", rng.integers(3_000, size=world.items))
        self.seller = _words("s", rng.integers(10_000, size=world.items))
        self.price = np.round(rng.lognormal(3, 1, world.items), 2)
        self.gender = _words("g", rng.integers(3, size=world.users))
        self.query = _words("words ", np.arange(500)).dictionary_decode()
        self.city = _words("t", rng.integers(400, size=world.users))

    def hour(self, rng: Rng, hour: int) -> dict[str, pa.Table]:
        """Each stream's events that begin in one hour, copies included."""
        size, first = self.world.events_per_hour, hour * self.world.events_per_hour
        requests = int(size * EXPOSURE_SHARE)
        user = np.searchsorted(self.visits, rng.random(requests))
        time_ms = np.sort(START_MS + hour * HOUR_MS + rng.integers(HOUR_MS, size=requests))
        scenario = np.where(rng.random(requests) < 0.6, 0, 1)
        scenario[rng.random(requests) < 0.001] = UNKNOWN_SCENARIO
        item = np.searchsorted(self.sales, rng.random((requests, CANDIDATES)))
        exposure = self._exposures(rng, first, user, time_ms, scenario, item)
        clicks = _clicks(rng, int(size * CLICK_SHARE), time_ms, item)
        buys = _after(rng, clicks, int(size * BUY_SHARE), 8, 60)
        who = (first, user, scenario)
        click = self._feedback(rng, "c", clicks, who, unnamed=0.04)
        buy = self._feedback(rng, "b", buys, who, unnamed=0.3)
        refund = _refunds(rng, {"click": click, "buy": buy}, int(size * REFUND_SHARE))
        tables = {"exposure": exposure, "click": click, "buy": buy, "refund": refund}
        return {stream: _with_copies(rng, table) for stream, table in tables.items()}

    def _exposures(
        self, rng: Rng, first: int, user: Ints, time_ms: Ints, scenario: Ints, item: Ints
    ) -> pa.Table:
        rows = len(user)
        position = np.tile(np.arange(CANDIDATES), (rows, 1))
        position[rng.random(rows) < 0.001, -1] = 0
        exposed = np.ones((rows, CANDIDATES), np.bool_)
        exposed[rng.random(rows) < 0.1, -1] = False
        flat = item.ravel()
        candidates = {
            "item_id": self.item.take(pa.array(flat)),
            "position": pa.array(position.ravel()),
            "exposed": pa.array(exposed.ravel()),
            "category": self.category.take(pa.array(flat)),
            "brand": self.brand.take(pa.array(flat)),
            "seller": self.seller.take(pa.array(flat)),
            "price": pa.array(self.price[flat], mask=rng.random(len(flat)) < 0.01),
        }
        offsets = pa.array(np.arange(rows + 1, dtype=np.int32) * CANDIDATES)
        structs = pa.StructArray.from_arrays(list(candidates.values()), names=list(candidates))
        query = self.query.take(pa.array(rng.integers(500, size=rows)))
        return pa.table(
            {
                "request_id": _ids("r", first + np.arange(rows)),
                "user_id": self.user.take(pa.array(user)),
                "time_ms": pa.array(time_ms),
                "scenario": pa.array(SCENARIOS[scenario]),
                "query": pc.if_else(pa.array(scenario == 1), query, None),
                "gender": self.gender.take(pa.array(user)),
                "city": self.city.take(pa.array(user)),
                "device": pa.array(
                    np.array(["phone", "tablet", "desk"])[rng.integers(3, size=rows)],
                    mask=rng.random(rows) < 0.02,
                ),
                "candidates": pa.ListArray.from_arrays(offsets, structs),
            }
        )

    def _feedback(
        self, rng: Rng, prefix: str, acts: _Acts, who: tuple[int, Ints, Ints], unnamed: float
    ) -> pa.Table:
        first, user, scenario = who
        rows = len(acts.request)
        place = scenario[acts.request]
        nameless = rng.random(rows) < unnamed
        value = np.round(rng.lognormal(3, 1, rows), 2)
        return pa.table(
            {
                "event_id": _ids(prefix, first + np.arange(rows)),
                "user_id": self.user.take(pa.array(user[acts.request])),
                "time_ms": pa.array(acts.time_ms),
                "item_id": self.item.take(pa.array(acts.item)),
                "scenario": pa.array(SCENARIOS[place], mask=rng.random(rows) < 0.02),
                "request_id": pc.if_else(pa.array(nameless), None, _ids("r", first + acts.request)),
                "value": pa.array(value, mask=np.full(rows, prefix == "c")),
                "category": self.category.take(pa.array(acts.item)),
            }
        )


def _zipf(size: int, exponent: float) -> npt.NDArray[np.float64]:
    """The cumulative shares of `size` things, the first the most frequent."""
    weights = np.arange(1, size + 1) ** -exponent
    shares = np.cumsum(weights / weights.sum())
    shares[-1] = 1.0
    return shares


def _ids(prefix: str, numbers: Ints) -> pa.Array:
    return pc.binary_join_element_wise(prefix, pa.array(numbers).cast(pa.string()), "")


def _words(prefix: str, numbers: Ints) -> pa.DictionaryArray:
    return _ids(prefix, numbers).dictionary_encode()


def _clicks(rng: Rng, count: int, time_ms: Ints, item: Ints) -> _Acts:
    """Clicks within twenty minutes of random requests, mostly on the upper candidates."""
    request = rng.integers(len(time_ms), size=count)
    depth = np.minimum(rng.geometric(0.35, count) - 1, CANDIDATES - 1)
    wait_ms = np.minimum(rng.exponential(60_000, count), 20 * 60_000).astype(np.int64)
    return _Acts(request, item[request, depth], time_ms[request] + wait_ms)


def _after(rng: Rng, before: _Acts, count: int, mean_minutes: int, most_minutes: int) -> _Acts:
    """Other feedback on what some earlier feedback was on, a while later."""
    chosen = rng.integers(len(before.request), size=count)
    wait_ms = np.minimum(rng.exponential(mean_minutes, count), most_minutes) * 60_000
    time_ms = before.time_ms[chosen] + wait_ms.astype(np.int64)
    return _Acts(before.request[chosen], before.item[chosen], time_ms)


def _refunds(rng: Rng, feedback: dict[str, pa.Table], count: int) -> pa.Table:
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


def _with_copies(rng: Rng, table: pa.Table) -> pa.Table:
    rows = np.flatnonzero(rng.random(table.num_rows) < COPIED)
    copies = table.take(pa.array(rows))
    later_ms = np.where(rng.random(len(rows)) < 0.25, rng.integers(2_000, size=len(rows)), 0)
    time_ms = pa.array(copies["time_ms"].to_numpy() + later_ms)
    at = copies.column_names.index("time_ms")
    return pa.concat_tables([table, copies.set_column(at, "time_ms", time_ms)])
