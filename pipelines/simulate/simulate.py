"""A world slice by slice: what happens, what of it arrives, and what is known to be true.

Slices are generated one after the other, each from a generator of its own; only what is on its
way, the journeys and the requests of the last days are carried from one to the next.
"""

import math
from dataclasses import dataclass, field

import numpy as np

from pipelines.simulate import delivery, journeys
from pipelines.simulate.catalogue import PUBLISHED_BEFORE_MS, Catalogue
from pipelines.simulate.crowd import Crowd
from pipelines.simulate.delivery import Post
from pipelines.simulate.events import (
    Texts,
    exposure_table,
    feedback_tables,
    item_table,
    retraction_table,
)
from pipelines.simulate.feedback import Actions, Feedback, Reactions
from pipelines.simulate.journeys import Journeys
from pipelines.simulate.requests import Exposures, Requests, Scene
from pipelines.simulate.rivals import Memory
from pipelines.simulate.rows import Ints, Queue
from pipelines.simulate.seeds import Seeds
from pipelines.simulate.truth import Told, Truth
from pipelines.simulate.world import DAY_MS, World
from pipelines.simulate.writer import Output

Rng = np.random.Generator


def simulate(world: World, writer: Output) -> None:
    """Write a world's event streams, in order of arrival, and its truth."""
    simulation = _Simulation.of(world, writer)
    simulation.open()
    for number in range(world.slices):
        simulation.slice(number)
    simulation.rest()


@dataclass
class _Simulation:
    """What is carried from slice to slice."""

    world: World
    writer: Output
    seeds: Seeds
    scene: Scene
    reactions: Reactions
    texts: Texts
    truth: Truth
    memory: Memory
    post: Post
    coming: Queue[Journeys] = field(default_factory=Queue)
    happening: Queue[Feedback] = field(default_factory=Queue)
    happened: list[tuple[Feedback, Told]] = field(default_factory=list)
    """Feedback since midnight."""

    @classmethod
    def of(cls, world: World, writer: Output) -> "_Simulation":
        """The world at its start, nothing written yet."""
        seeds = Seeds(world.seed)
        catalogue = Catalogue.of(world, seeds.catalogue())
        texts = Texts.of(world, catalogue)
        return cls(
            world,
            writer,
            seeds,
            Scene(world, catalogue, Crowd.of(world, seeds.crowd())),
            Reactions(world, catalogue.intent),
            texts,
            Truth(world, catalogue, texts),
            Memory(world),
            Post.of(world),
        )

    def open(self) -> None:
        """What is true of the whole world, and the catalogue's first entries."""
        self.writer.truth("items", None, self.truth.items())
        self.writer.truth("queries", None, self.truth.queries())
        self.writer.truth("examination", None, self.truth.examination())
        entries = self.scene.catalogue.entries(self.world.start_ms - PUBLISHED_BEFORE_MS)
        self.post.items.queue.add(entries, entries.time)

    def slice(self, number: int) -> None:
        """One slice of the world's time."""
        rng = self.seeds.slice(number)
        start_ms = self.world.start_ms + number * self.world.slice_ms
        end_ms = start_ms + self.world.slice_ms
        if number and start_ms % DAY_MS == 0:
            day = (start_ms - self.world.start_ms) // DAY_MS
            self.scene.crowd.drift(self.world, self.seeds.day(day))
        if number:
            self.post.items.send(rng, self.scene.catalogue.change(self.world, rng, start_ms))
        base = self._base_requests(rng, start_ms)
        self._finish(rng, start_ms, end_ms, base)
        if end_ms % DAY_MS == 0:
            self._judge(start_ms, end_ms - self.world.lookback_ms)

    def rest(self) -> None:
        """What is still on its way when the last slice ends: no more requests but of journeys."""
        rng, end_ms = self.seeds.slice(self.world.slices), self.world.end_ms
        self._finish(rng, end_ms, math.inf, [])
        self._judge(end_ms, end_ms)

    def _finish(self, rng: Rng, start_ms: int, end_ms: float, requests: list[Requests]) -> None:
        requests += self._end_journeys(rng, end_ms)
        self._send_requests(rng, start_ms, requests)
        self._send_feedback(rng, start_ms, end_ms)
        self._write(start_ms, end_ms)

    def _base_requests(self, rng: Rng, start_ms: int) -> list[Requests]:
        """Requests that no journey causes; what comes of them is settled at once."""
        requests = self.scene.serve(rng, self.scene.base_visits(rng, start_ms))
        clicks, position = self._react(rng, requests)
        coming = journeys.remembered(self.world, rng, requests, clicks, position)
        self.coming.add(coming, coming.time)
        made_up = journeys.uncaused(self.scene, rng, requests, start_ms)
        self.coming.add(made_up, made_up.time)
        return [requests]

    def _end_journeys(self, rng: Rng, end_ms: float) -> list[Requests]:
        due = self.coming.take_due(end_ms)
        if due is None:
            return []
        requests = self.scene.serve(rng, journeys.visits_of(due))
        self._react(rng, requests)
        for feedback in journeys.arrivals(self.scene, rng, self.reactions, due, requests):
            self.happening.add(feedback, feedback.time)
        return [requests]

    def _react(self, rng: Rng, requests: Requests) -> tuple[Feedback, Ints]:
        """Clicks by propensity, with what follows them; returns the clicks and their positions."""
        clicks, position = self.reactions.clicks(rng, requests)
        conversion = requests.conversion[clicks.via - requests.number[:1], position]
        after = self.reactions.after(rng, clicks, conversion)
        for feedback in (clicks, after):
            self.happening.add(feedback, feedback.time)
        return clicks, position

    def _send_requests(self, rng: Rng, start_ms: int, parts: list[Requests]) -> None:
        if parts:
            requests = Requests.concat(parts)
            late, copies = self.post.requests.send(rng, requests.seen_as(Exposures))
            self.memory.remember(requests, late)
            self.writer.truth("requests", start_ms, self.truth.requests(requests, late, copies))

    def _send_feedback(self, rng: Rng, start_ms: int, end_ms: float) -> None:
        """Deliver the feedback of a slice and what is taken back of it."""
        feedback = self.happening.take_due(end_ms)
        if feedback is None:
            return
        logged = feedback.seen_as(Actions)
        late, copies = self.post.feedback.send(rng, logged)
        self.post.send_unusable(rng, len(self.world.scenarios), logged)
        taken, times = delivery.retractions(self.world, rng, feedback)
        told = self.truth.retractions(taken, *self.post.retractions.send(rng, taken))
        self.writer.truth("retractions", start_ms, told)
        self.happened.append((feedback, Told(feedback.time, late, copies, times)))

    def _judge(self, start_ms: int, forget_ms: int) -> None:
        """Write the truth of a day's feedback."""
        if self.happened:
            feedback = Feedback.concat([one for one, _ in self.happened])
            told = Told.concat([one for _, one in self.happened])
            table = self.truth.feedback(feedback, told, *self.memory.judge(feedback))
            self.writer.truth("feedback", start_ms, table)
        self.happened = []
        self.memory.forget(forget_ms)

    def _write(self, start_ms: int, end_ms: float) -> None:
        """The events that arrive in a slice."""
        stock, texts, post = self.scene.catalogue, self.texts, self.post
        if (items := post.items.queue.take_due(end_ms)) is not None:
            self.writer.events("item", start_ms, item_table(stock, texts, items))
        if (requests := post.requests.queue.take_due(end_ms)) is not None:
            self.writer.events("exposure", start_ms, exposure_table(stock, texts, requests))
        if (feedback := post.feedback.queue.take_due(end_ms)) is not None:
            for stream, table in feedback_tables(stock, texts, feedback).items():
                self.writer.events(stream, start_ms, table)
        if (taken := post.retractions.queue.take_due(end_ms)) is not None:
            self.writer.events("retraction", start_ms, retraction_table(texts, taken))
