"""What users do with what they see: clicks by propensity, and what follows them after a delay."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.simulate.requests import Requests
from pipelines.simulate.rows import NONE, Bools, Ints, Numbers, Rows
from pipelines.simulate.world import FEEDBACK, Delay, World

Rng = np.random.Generator

CLICK, CART, CONVERSION = range(len(FEEDBACK))

EXPOSED, UNEXPOSED, CLICKED = range(3)
ORIGINS = ("exposed", "unexposed", "clicked")
"""What the cause was when the event came of it."""

DIRECT, CROSS_CLICK, CROSS_CONVERSION, AFTER_CROSS_CLICK, UNCAUSED = range(5)
JOURNEYS = ("direct", "cross_click", "cross_conversion", "after_cross_click", "uncaused")
"""How the event came of its cause."""


@dataclass(frozen=True)
class Actions(Rows):
    """Events of users on items as a server logs them."""

    stream: Numbers
    number: Ints
    """Unique in the world; the event id is made of it."""
    user: Numbers
    item: Numbers
    cents: Numbers
    scenario: Numbers
    """None if it is missing."""
    named: Ints
    """The number of the request that the event names, or none."""


@dataclass(frozen=True)
class Feedback(Actions):
    """Actions as they are; columns named after a request hold its number or none."""

    domain: Numbers
    via: Ints
    """The request of its own domain on which it happened."""
    cause: Ints
    """The request that it truly came of."""
    cause_domain: Numbers
    cause_time: Ints
    origin: Numbers
    parent: Ints
    """The click that it followed."""
    journey: Numbers
    intent: Numbers
    """What the user had in mind: the query's intent if a query is the cause, else the item's."""


def delays(rng: Rng, delay: Delay, count: int) -> Ints:
    """Log-normal delays in milliseconds, capped at the longest."""
    drawn = delay.median_ms * np.exp(delay.spread * rng.standard_normal(count))
    return np.minimum(drawn, delay.longest_ms).astype(np.int64)


def examination(world: World) -> npt.NDArray[np.float32]:
    """P(examined) by domain and position of a shown candidate, [domains, K]."""
    position = np.arange(world.widest)
    rows = [(1.0 + position) ** -domain.position_bias for domain in world.domains.values()]
    return np.array(rows, np.float32)


def click_propensity(world: World, requests: Requests) -> npt.NDArray[np.float32]:
    """P(click) of each candidate where it stands, [n, K]; none for what is not shown."""
    shown = np.arange(world.widest) < requests.exposed[:, None]
    return requests.attraction * examination(world)[requests.domain] * shown


@dataclass
class Reactions:
    """Numbers feedback and settles how it is logged."""

    world: World
    item_intent: Numbers
    events: int = 0

    def clicks(self, rng: Rng, requests: Requests) -> tuple[Feedback, Ints]:
        """Clicks on shown candidates that no journey leads to, and their positions."""
        chance = click_propensity(self.world, requests)
        row, position = np.nonzero(rng.random(chance.shape, np.float32) < chance)
        free = position != requests.planted[row]
        row, position = row[free], position[free]
        number, time, domain, intent = (
            column[row]
            for column in (requests.number, requests.time, requests.domain, requests.intent)
        )
        item = requests.items[row, position]
        clicks = self.feedback(
            rng,
            stream=CLICK,
            time=time + delays(rng, self.world.delays["click"], len(row)),
            user=requests.user[row],
            item=item,
            cents=requests.cents[row, position],
            domain=domain,
            scenario=requests.scenario[row],
            via=number,
            cause=number,
            cause_domain=domain,
            cause_time=time,
            origin=_all(row, EXPOSED),
            parent=_all(row, NONE).astype(np.int64),
            journey=_all(row, DIRECT),
            intent=np.where(intent >= 0, intent, self.item_intent[item]),
        )
        return clicks, position

    def after(self, rng: Rng, clicks: Feedback, conversion: npt.NDArray[np.float32]) -> Feedback:
        """Carts and conversions after clicks, whose conversion propensities are given, [n]."""
        carts = clicks.take(rng.random(len(clicks)) < self.world.follow.cart)
        bought = clicks.take(rng.random(len(clicks), np.float32) < conversion)
        return Feedback.concat(
            [self._follow(rng, carts, CART), self._follow(rng, bought, CONVERSION)]
        )

    def feedback(
        self,
        rng: Rng,
        *,
        stream: int,
        via: Ints,
        scenario: Numbers,
        named: Bools | None = None,
        **columns: Any,
    ) -> Feedback:
        """Number events; those of `named` name their request unless the id goes missing."""
        faults, count = self.world.faults, len(via)
        missing = rng.random(count) < faults.missing_request_id[FEEDBACK[stream]]
        if named is not None:
            missing |= ~named
        nowhere = rng.random(count) < faults.missing_scenario
        number = self.events + np.arange(count)
        self.events += count
        columns["intent"] = columns["intent"].astype(np.int32)
        return Feedback(
            stream=_all(via, stream),
            number=number,
            via=via,
            named=np.where(missing, NONE, via),
            scenario=np.where(nowhere, NONE, scenario).astype(np.int32),
            **columns,
        )

    def _follow(self, rng: Rng, clicks: Feedback, stream: int) -> Feedback:
        delay = self.world.delays[FEEDBACK[stream]]
        crossed = clicks.journey == CROSS_CLICK
        scenarios = np.array(list(_first_scenarios(self.world)), np.int32)
        logged = np.where(clicks.scenario >= 0, clicks.scenario, scenarios[clicks.domain])
        kept = ("user", "item", "cents", "domain", "cause", "cause_domain", "cause_time", "intent")
        return self.feedback(
            rng,
            stream=stream,
            time=clicks.time + delays(rng, delay, len(clicks)),
            via=clicks.via,
            scenario=logged,
            origin=np.where(crossed, clicks.origin, CLICKED).astype(np.int32),
            parent=clicks.number,
            journey=np.where(crossed, AFTER_CROSS_CLICK, clicks.journey).astype(np.int32),
            **{name: getattr(clicks, name) for name in kept},
        )


def _all(like: Ints, value: int) -> Numbers:
    return np.full(len(like), value, np.int32)


def _first_scenarios(world: World) -> list[int]:
    """The number of each domain's first scenario."""
    counts = [len(domain.scenarios) for domain in world.domains.values()]
    return [sum(counts[:number]) for number in range(len(counts))]
