"""Who visits the shop, what is on the shelves, and what happens in an hour."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.speed_world.columns import Ints, Rng, ids, with_copies, words, zipf
from benchmarks.speed_world.feedback import Acts, after, clicks_on, refunds

START_MS = 1_735_689_600_000
"""2025-01-01T00:00Z."""

HOUR_MS = 3_600_000
CANDIDATES = 8
SCENARIOS = np.array(["home", "results", "nowhere"])
UNKNOWN_SCENARIO = 2
DEVICES = np.array(["phone", "tablet", "desk"])

EXPOSURE_SHARE, CLICK_SHARE, BUY_SHARE, REFUND_SHARE = 0.55, 0.38, 0.06, 0.01


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


class Shop:
    """Who visits, what is on the shelves, and what happens in an hour."""

    def __init__(self, world: World) -> None:
        rng = np.random.default_rng(world.seed)
        self.world = world
        self.visits = zipf(world.users, 0.5)
        self.sales = zipf(world.items, 0.7)
        self.user = words("u", np.arange(world.users))
        self.item = words("i", np.arange(world.items))
        self.category = words("k", rng.integers(200, size=world.items))
        self.brand = words("m", rng.integers(3_000, size=world.items))
        self.seller = words("s", rng.integers(10_000, size=world.items))
        self.price = np.round(rng.lognormal(3, 1, world.items), 2)
        self.gender = words("g", rng.integers(3, size=world.users))
        self.query = words("words ", np.arange(500)).dictionary_decode()
        self.city = words("t", rng.integers(400, size=world.users))

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
        clicks = clicks_on(rng, int(size * CLICK_SHARE), time_ms, item)
        buys = after(rng, clicks, int(size * BUY_SHARE), 8, 60)
        who = (first, user, scenario)
        click = self._feedback(rng, "c", clicks, who, unnamed=0.04)
        buy = self._feedback(rng, "b", buys, who, unnamed=0.3)
        refund = refunds(rng, {"click": click, "buy": buy}, int(size * REFUND_SHARE))
        tables = {"exposure": exposure, "click": click, "buy": buy, "refund": refund}
        return {stream: with_copies(rng, table) for stream, table in tables.items()}

    def _exposures(
        self, rng: Rng, first: int, user: Ints, time_ms: Ints, scenario: Ints, item: Ints
    ) -> pa.Table:
        rows = len(user)
        candidates = self._candidates(rng, item)
        query = self.query.take(pa.array(rng.integers(500, size=rows)))
        device = DEVICES[rng.integers(len(DEVICES), size=rows)]
        return pa.table(
            {
                "request_id": ids("r", first + np.arange(rows)),
                "user_id": self.user.take(pa.array(user)),
                "time_ms": pa.array(time_ms),
                "scenario": pa.array(SCENARIOS[scenario]),
                "query": pc.if_else(pa.array(scenario == 1), query, None),
                "gender": self.gender.take(pa.array(user)),
                "city": self.city.take(pa.array(user)),
                "device": pa.array(device, mask=rng.random(rows) < 0.02),
                "candidates": candidates,
            }
        )

    def _candidates(self, rng: Rng, item: Ints) -> pa.ListArray:
        """The lists of items [n, CANDIDATES]; a few repeat a position or end unexposed."""
        rows, flat = len(item), item.ravel()
        position = np.tile(np.arange(CANDIDATES), (rows, 1))
        position[rng.random(rows) < 0.001, -1] = 0
        exposed = np.ones((rows, CANDIDATES), np.bool_)
        exposed[rng.random(rows) < 0.1, -1] = False
        columns = {
            "item_id": self.item.take(pa.array(flat)),
            "position": pa.array(position.ravel()),
            "exposed": pa.array(exposed.ravel()),
            "category": self.category.take(pa.array(flat)),
            "brand": self.brand.take(pa.array(flat)),
            "seller": self.seller.take(pa.array(flat)),
            "price": pa.array(self.price[flat], mask=rng.random(len(flat)) < 0.01),
        }
        structs = pa.StructArray.from_arrays(list(columns.values()), names=list(columns))
        offsets = pa.array(np.arange(rows + 1, dtype=np.int32) * CANDIDATES)
        return pa.ListArray.from_arrays(offsets, structs)

    def _feedback(
        self, rng: Rng, prefix: str, acts: Acts, who: tuple[int, Ints, Ints], unnamed: float
    ) -> pa.Table:
        first, user, scenario = who
        rows = len(acts.request)
        place = scenario[acts.request]
        nameless = rng.random(rows) < unnamed
        value = np.round(rng.lognormal(3, 1, rows), 2)
        return pa.table(
            {
                "event_id": ids(prefix, first + np.arange(rows)),
                "user_id": self.user.take(pa.array(user[acts.request])),
                "time_ms": pa.array(acts.time_ms),
                "item_id": self.item.take(pa.array(acts.item)),
                "scenario": pa.array(SCENARIOS[place], mask=rng.random(rows) < 0.02),
                "request_id": pc.if_else(pa.array(nameless), None, ids("r", first + acts.request)),
                "value": pa.array(value, mask=np.full(rows, prefix == "c")),
                "category": self.category.take(pa.array(acts.item)),
            }
        )
