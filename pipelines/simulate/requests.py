"""Requests: who comes when and where, and the ranked candidates that the domain's policy offers."""

from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from pipelines.simulate import kernels
from pipelines.simulate.catalogue import Catalogue
from pipelines.simulate.crowd import Crowd
from pipelines.simulate.rows import NONE, Floats, Ints, Numbers, Rows
from pipelines.simulate.world import DAY_MS, Appeal, Policy, World

Rng = np.random.Generator

DEVICES = ("phone", "tablet", "desktop")


@dataclass(frozen=True)
class Visits(Rows):
    """Who opens a list of which domain; `planted` is an item that it must show, or none."""

    user: Numbers
    domain: Numbers
    planted: Numbers


@dataclass(frozen=True)
class Exposures(Rows):
    """Answered visits as a server logs them, [n].

    Candidates are in order of position, [n, K], padded with none.
    """

    number: Ints
    """Unique in the world; the request id is made of it."""
    user: Numbers
    scenario: Numbers
    wording: Numbers
    """The query's words, if there is a query."""
    rare: Ints
    """The number of the query's extra word, if it has one."""
    device: Numbers
    width: Numbers
    """How many candidates there are."""
    exposed: Numbers
    """How many are shown: those at the first positions."""
    items: Numbers
    cents: Numbers


@dataclass(frozen=True)
class Requests(Exposures):
    """Answered visits as they are."""

    domain: Numbers
    intent: Numbers
    """Of the query, if there is one."""
    category: Numbers
    """What the user has in mind."""
    planted: Numbers
    """Position of the item that a journey leads to, if the visit is part of one."""
    attraction: Floats
    """P(click | examined), [n, K]."""
    conversion: Floats
    """P(conversion | click), [n, K]."""


@dataclass
class Scene:
    """A world as it is at the moment, and how many requests it has seen."""

    world: World
    catalogue: Catalogue
    crowd: Crowd
    requests: int = 0

    def base_visits(self, rng: Rng, start_ms: int) -> Visits:
        """The visits of one slice that no journey causes, in order of time."""
        world = self.world
        mean = world.users.count * world.users.requests_per_day * world.slice_ms / DAY_MS
        count = int(rng.poisson(mean))
        shares = np.array([domain.share for domain in world.domains.values()])
        return Visits(
            time=np.sort(start_ms + rng.integers(world.slice_ms, size=count)),
            user=self.crowd.visitors(rng, count).astype(np.int32),
            domain=_chosen(rng, shares, count),
            planted=np.full(count, NONE, np.int32),
        )

    def serve(self, rng: Rng, visits: Visits) -> Requests:
        """Answer visits: choose scenario, query and candidates, and know how each appeals."""
        world, count = self.world, len(visits)
        category, intent, wording = self._minds(rng, visits)
        least, most = _by_domain(world, "exposed")[visits.domain].T
        width = _by_domain(world, "candidates")[visits.domain]
        exposed = least + (rng.random(count) * (most - least + 1)).astype(np.int32)
        items, slot = self._lists(rng, visits, (width, exposed), (category, intent))
        rare = (wording >= 0) & (rng.random(count) < world.texts.seen_once)
        number = self.requests + np.arange(count)
        self.requests += count
        attraction, conversion = self.propensities(visits, intent, category, items)
        return Requests(
            time=visits.time,
            number=number,
            user=visits.user,
            domain=visits.domain,
            scenario=self.scenarios(rng, visits.domain),
            intent=intent,
            category=category,
            wording=wording,
            rare=np.where(rare, number, NONE),
            device=_chosen(rng, np.array([6.0, 1.0, 3.0]), count),
            planted=slot,
            width=width,
            exposed=exposed,
            items=items,
            cents=self.catalogue.cents.take(items),
            attraction=attraction,
            conversion=conversion,
        )

    def scenarios(self, rng: Rng, domain: Numbers) -> Numbers:
        """A scenario of each domain, by the world's weights."""
        scenario, first = np.empty(len(domain), np.int32), 0
        for number, one in enumerate(self.world.domains.values()):
            rows = np.flatnonzero(domain == number)
            weights = np.array(list(one.scenarios.values()))
            scenario[rows] = first + _chosen(rng, weights, len(rows))
            first += len(weights)
        return scenario

    def propensities(
        self, visits: Visits, intent: Numbers, category: Numbers, items: Numbers
    ) -> tuple[Floats, Floats]:
        """Attraction and conversion of items, each shape [n, k]."""
        stock, world = self.catalogue, self.world
        log_price = np.log(stock.cents / (100 * world.items.price_median)).astype(np.float32)
        clicks = [domain.click for domain in world.domains.values()]
        base = np.array([*clicks, world.follow.conversion])
        return kernels.propensities(
            (visits.user, visits.domain, intent, category),
            items,
            (stock.intent, stock.category, stock.quality, log_price),
            self.crowd.interest,
            _weights(world.attraction)[:3] + _weights(world.conversion)[1:],
            np.log(base / (1 - base)),
        )

    def _minds(self, rng: Rng, visits: Visits) -> tuple[Numbers, ...]:
        """Category, intent and wording that a user has in mind; the last two with a query only."""
        count, world = len(visits), self.world
        category = self.crowd.categories(rng, visits.user)
        planted = self.catalogue.category[visits.planted]
        category = np.where(visits.planted >= 0, planted, category)
        one_of = rng.integers(world.items.intents_per_category, size=count)
        intent = category * world.items.intents_per_category + one_of
        wording = intent * world.texts.wordings + rng.integers(world.texts.wordings, size=count)
        asked = _policies(world)[visits.domain] == kernels.QUERY
        intent, wording = np.where(asked, intent, NONE), np.where(asked, wording, NONE)
        minds = (values.astype(np.int32) for values in (category, intent, wording))
        return tuple(minds)

    def _lists(
        self, rng: Rng, visits: Visits, sizes: tuple[Numbers, Numbers], mind: tuple[Numbers, ...]
    ) -> tuple[Numbers, Numbers]:
        """Candidates in order, [n, K], and where among them the planted item is, [n]."""
        stock, (width, exposed), (category, intent) = self.catalogue, sizes, mind
        shape = (len(visits), self.world.widest)
        items = kernels.draw(
            (visits.user, visits.domain, width, intent, category, self._sellers(rng, category)),
            (
                _policies(self.world),
                _by_domain(self.world, "precision"),
                _by_domain(self.world, "ranking_noise"),
            ),
            (stock.intent, stock.category, stock.quality, stock.intent_first,
             stock.category_first, stock.by_seller, stock.seller_first),
            (self.crowd.interest, self.crowd.chances),
            tuple(rng.random(shape, np.float32) for _ in range(3)),
            self.world.widest,
        )  # fmt: skip
        slot = (rng.random(len(visits)) * exposed).astype(np.int32)
        slot = np.where(visits.planted >= 0, slot, NONE).astype(np.int32)
        kernels.plant(items, visits.planted, slot)
        return items, slot

    def _sellers(self, rng: Rng, category: Numbers) -> Numbers:
        """A seller of each category."""
        stock = self.catalogue
        first = stock.category_first[category]
        count = stock.category_first[category + 1] - first
        return stock.seller[first + (rng.random(len(category)) * count).astype(np.int64)]


def _chosen(rng: Rng, weights: npt.NDArray[np.float64], count: int) -> Numbers:
    chances = np.cumsum(weights / weights.sum())
    chances[-1] = 1.0
    return np.searchsorted(chances, rng.random(count), side="right").astype(np.int32)


def _by_domain(world: World, name: str) -> npt.NDArray[Any]:
    """A key of the domains, by number."""
    values = np.array([getattr(domain, name) for domain in world.domains.values()])
    return values.astype(np.int32) if values.dtype == np.int64 else values


def _policies(world: World) -> Numbers:
    names = get_args(Policy)
    return np.array([names.index(d.policy) for d in world.domains.values()], np.int32)


def _weights(appeal: Appeal) -> tuple[float, ...]:
    return (appeal.relevance, appeal.interest, appeal.quality, appeal.price)
