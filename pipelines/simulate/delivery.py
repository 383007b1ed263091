"""From what happened to what arrives: copies, disorder within the slack, and the late."""

from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

import numpy as np

from pipelines.simulate.catalogue import ItemEvents
from pipelines.simulate.feedback import CLICK, Actions, Feedback, delays
from pipelines.simulate.requests import Exposures
from pipelines.simulate.rows import Bools, Ints, Numbers, Queue, Rows
from pipelines.simulate.world import FEEDBACK, World

Rng = np.random.Generator

MOVED_MS = 2_000
"""A moved copy is dated at most so much later."""


@dataclass(frozen=True)
class Retractions(Rows):
    """Feedback that is taken back."""

    stream: Numbers
    number: Ints
    user: Numbers


def retractions(world: World, rng: Rng, feedback: Feedback) -> tuple[Retractions, Ints]:
    """Retractions of some of these events, and for each event when it is taken back or none."""
    rates = np.array([world.retractions[name] for name in FEEDBACK])
    row = np.flatnonzero(rng.random(len(feedback)) < rates[feedback.stream])
    taken = feedback.take(row)
    time = taken.time + delays(rng, world.delays["retraction"], len(row))
    times = np.full(len(feedback), -1, np.int64)
    times[row] = time
    return Retractions(time, taken.stream, taken.number, taken.user), times


R = TypeVar("R", bound=Rows)


@dataclass
class Delivery(Generic[R]):
    """One kind of event on its way; `movable` kinds have copies with another time."""

    world: World
    movable: bool = True
    queue: Queue[R] = field(default_factory=Queue)

    def send(self, rng: Rng, rows: R) -> tuple[Bools, Numbers]:
        """Put events and their copies on the way.

        Returns which originals are late, and the copies of each: 0 none, 1 exact, 2 moved.
        """
        faults, count = self.world.faults, len(rows)
        late = rng.random(count) < faults.late
        arrival = rows.time + self._detour(rng, count)
        beyond = 2 * faults.disorder_ms + 1 + delays(rng, self.world.delays["late"], count)
        arrival += np.where(late, beyond, 0)
        self.queue.add(rows, arrival)
        moved_share = faults.moved_duplicate if self.movable else 0.0
        luck = rng.random(count)
        copies = (luck < faults.duplicate + moved_share).astype(np.int32)
        copies += luck < moved_share
        self._send_copies(rng, rows, arrival, copies)
        return late, copies

    def _send_copies(self, rng: Rng, rows: R, arrival: Ints, copies: Numbers) -> None:
        row = np.flatnonzero(copies)
        again = rows.take(row)
        shift = rng.integers(1, MOVED_MS + 1, size=len(row)) * (copies[row] == 2)
        again = replace(again, time=again.time + shift)
        due = np.maximum(arrival[row] + self._detour(rng, len(row)), again.time)
        self.queue.add(again, due)

    def _detour(self, rng: Rng, count: int) -> Ints:
        """Half of the disorder at most, mostly little: a copy makes two."""
        uniform = rng.random(count)
        return (self.world.faults.disorder_ms // 2 * uniform * uniform).astype(np.int64)


@dataclass
class Post:
    """Everything that is on its way to the streams."""

    requests: Delivery[Exposures]
    feedback: Delivery[Actions]
    items: Delivery[ItemEvents]
    retractions: Delivery[Retractions]

    @classmethod
    def of(cls, world: World) -> "Post":
        """Nothing is on its way yet."""
        items: Delivery[ItemEvents] = Delivery(world, movable=False)
        return cls(Delivery(world), Delivery(world), items, Delivery(world))

    def send_unusable(self, rng: Rng, scenario: int, clicks: Actions) -> None:
        """Extra clicks of a scenario that no spec knows; truth does not know them."""
        world = self.feedback.world
        share = world.faults.unknown_scenario
        made_up = clicks.take((clicks.stream == CLICK) & (rng.random(len(clicks)) < share))
        odd = np.full(len(made_up), scenario, np.int32)
        # No other event has a number below none.
        number = -2 - made_up.number
        self.feedback.queue.add(replace(made_up, scenario=odd, number=number), made_up.time)
