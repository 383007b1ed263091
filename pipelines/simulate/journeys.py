"""Cross-domain journeys: what was seen in the target domain is acted on in another one, later.

A candidate of a target request may be remembered. Some time later its user comes to another
domain and clicks it, or buys it there without a click. Such a visit is a request of that domain
that shows the item, whose id the event may or may not name, or it leaves no request at all.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipelines.simulate.feedback import (
    CLICK,
    CLICKED,
    CONVERSION,
    CROSS_CLICK,
    CROSS_CONVERSION,
    EXPOSED,
    UNCAUSED,
    UNEXPOSED,
    Feedback,
    Reactions,
    delays,
)
from pipelines.simulate.requests import Requests, Scene, Visits
from pipelines.simulate.rows import NONE, Ints, Numbers, Rows
from pipelines.simulate.world import World

Rng = np.random.Generator

NAMED, UNNAMED, REQUESTLESS = range(3)


@dataclass(frozen=True)
class Journeys(Rows):
    """Visits to come; `time` is theirs, `cause` the target request or none."""

    user: Numbers
    item: Numbers
    domain: Numbers
    journey: Numbers
    mode: Numbers
    cause: Ints
    cause_domain: Numbers
    cause_time: Ints
    origin: Numbers
    intent: Numbers


def remembered(
    world: World, rng: Rng, requests: Requests, clicks: Feedback, position: Ints
) -> Journeys:
    """What users will come back to, of what the target domain's requests held.

    `clicks` are those on these requests, each at its `position`.
    """
    rows = np.flatnonzero(requests.domain == world.target_number)
    target = requests.take(rows)
    clicked_ms = np.zeros(requests.items.shape, np.int64)
    clicked_ms[clicks.via - requests.number[:1], position] = clicks.time
    clicked_ms = clicked_ms[rows]
    origin = np.where(np.arange(world.widest) < target.exposed[:, None], EXPOSED, UNEXPOSED)
    origin = np.where(clicked_ms > 0, CLICKED, origin)
    click, buy = _chances(world, target, origin)
    luck = rng.random(click.shape, np.float32)
    row, slot = np.nonzero(luck < click + buy)
    journey = np.where(luck[row, slot] < click[row, slot], CROSS_CLICK, CROSS_CONVERSION)
    seen_ms = target.time[row]
    return Journeys(
        time=np.maximum(seen_ms, clicked_ms[row, slot]) + _waits(world, rng, journey),
        user=target.user[row],
        item=target.items[row, slot],
        domain=_elsewhere(world, rng, len(row)),
        journey=journey.astype(np.int32),
        mode=_modes(world, rng, len(row)),
        cause=target.number[row],
        cause_domain=target.domain[row],
        cause_time=seen_ms,
        origin=origin[row, slot].astype(np.int32),
        intent=target.intent[row],
    )


def uncaused(scene: Scene, rng: Rng, requests: Requests, start_ms: int) -> Journeys:
    """Foreign clicks out of nowhere, at any time of the slice."""
    world = scene.world
    count = int(rng.binomial(len(requests), world.journeys.uncaused))
    user = scene.crowd.visitors(rng, count).astype(np.int32)
    item = rng.integers(world.items.count, size=count).astype(np.int32)
    none = np.full(count, NONE, np.int32)
    return Journeys(
        time=start_ms + rng.integers(world.slice_ms, size=count),
        user=user,
        item=item,
        domain=_elsewhere(world, rng, count),
        journey=np.full(count, UNCAUSED, np.int32),
        mode=np.full(count, REQUESTLESS, np.int32),
        cause=none.astype(np.int64),
        cause_domain=none,
        cause_time=none.astype(np.int64),
        origin=none,
        intent=scene.catalogue.intent[item],
    )


def visits_of(journeys: Journeys) -> Visits:
    """The visits of journeys that leave a request."""
    asking = journeys.take(journeys.mode != REQUESTLESS)
    return Visits(asking.time, asking.user, asking.domain, asking.item)


def arrivals(
    scene: Scene, rng: Rng, reactions: Reactions, journeys: Journeys, requests: Requests
) -> list[Feedback]:
    """What users do at the end of their journeys; `requests` are the answers to `visits_of`."""
    asking = journeys.mode != REQUESTLESS
    via = np.full(len(journeys), NONE, np.int64)
    via[asking] = requests.number
    scenario = scene.scenarios(rng, journeys.domain)
    scenario[asking] = requests.scenario
    found = []
    for stream in (CLICK, CONVERSION):
        chosen = (journeys.journey == CROSS_CONVERSION) == (stream == CONVERSION)
        ends = journeys.take(chosen)
        found.append(_end(scene, rng, reactions, stream, ends, via[chosen], scenario[chosen]))
    clicks = found[0]
    return [*found, reactions.after(rng, clicks, _conversion(scene, clicks))]


def _end(
    scene: Scene,
    rng: Rng,
    reactions: Reactions,
    stream: int,
    ends: Journeys,
    via: Ints,
    scenario: Numbers,
) -> Feedback:
    pause = delays(rng, scene.world.delays["click"], len(ends))
    kept = ("user", "item", "domain", "journey", "cause", "cause_domain", "cause_time")
    return reactions.feedback(
        rng,
        stream=stream,
        time=ends.time + np.where(via >= 0, pause, 0),
        via=via,
        scenario=scenario,
        named=ends.mode == NAMED,
        cents=scene.catalogue.cents[ends.item],
        origin=ends.origin,
        parent=np.full(len(ends), NONE, np.int64),
        intent=ends.intent,
        **{name: getattr(ends, name) for name in kept},
    )


def _conversion(scene: Scene, clicks: Feedback) -> npt.NDArray[np.float32]:
    """Propensity of each click's user to convert on its item."""
    none = np.full(len(clicks), NONE, np.int32)
    visits = Visits(clicks.time, clicks.user, clicks.domain, none)
    return scene.propensities(visits, none, none, clicks.item[:, None])[1][:, 0]


def _chances(
    world: World, target: Requests, origin: npt.NDArray[np.integer]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """P(later click elsewhere) and P(later conversion elsewhere without one), [n, K] each."""
    rates = world.journeys
    by_click = np.array([rates.click_exposed, rates.click_unexposed, 0], np.float32)
    by_buy = np.array([rates.conversion_exposed, rates.conversion_unexposed, 0], np.float32)
    after_click = np.array([0, 0, rates.conversion_clicked], np.float32)
    buy = by_buy[origin] * target.attraction + after_click[origin]
    return by_click[origin] * target.attraction, buy * target.conversion


def _waits(world: World, rng: Rng, journey: npt.NDArray[np.integer]) -> Ints:
    click = delays(rng, world.delays["remembered_click"], len(journey))
    conversion = delays(rng, world.delays["remembered_conversion"], len(journey))
    return np.where(journey == CROSS_CLICK, click, conversion)


def _elsewhere(world: World, rng: Rng, count: int) -> Numbers:
    """A domain that is not the target, by the domains' shares."""
    shares = np.array([domain.share for domain in world.domains.values()])
    shares[world.target_number] = 0
    return rng.choice(len(shares), count, p=shares / shares.sum()).astype(np.int32)


def _modes(world: World, rng: Rng, count: int) -> Numbers:
    named, unnamed = world.journeys.named, world.journeys.unnamed
    return np.searchsorted([named, named + unnamed], rng.random(count), side="right").astype(
        np.int32
    )
