"""Messages of partitions from given offsets on, in batches that say exactly what they cover."""

import time
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaTimeoutError, OffsetOutOfRangeError

from pipelines.sources.kafka.link import Link
from pipelines.sources.kafka.messages import rows_in
from pipelines.sources.source import Stopped
from schemas.errors import UserError

SILENCE_S = 10.0
"""After so long without a message that must be there, the connection is made anew."""

_POLL_MS = 200
_ALL = 1 << 30


@dataclass
class Batch:
    """All messages of one partition in `[start, stop)`; offsets may have gaps."""

    start: int
    stop: int
    rows: int = 0
    offsets: list[int] = field(default_factory=list)
    values: list[bytes | None] = field(default_factory=list)
    deleted: tuple[int, int] | None = None
    """Offsets that the cluster had deleted before they were read, `[first, last)`."""

    def add(self, records: list[ConsumerRecord], stop: int) -> int:
        """Take in messages, all that there are up to an offset; the number of their events."""
        values = [record.value for record in records]
        rows = sum(map(rows_in, values))
        self.offsets += [record.offset for record in records]
        self.values += values
        self.rows += rows
        self.stop = stop
        return rows


@dataclass
class _Ahead:
    """What the client has given of one partition and nobody took yet: all in `[start, stop)`."""

    start: int
    stop: int
    records: list[ConsumerRecord]

    def take(self, end: int, most: int) -> tuple[list[ConsumerRecord], int]:
        """At most so many messages before an offset; and up to where there are no others."""
        number = min(most, bisect_left(self.records, end, key=lambda record: record.offset))
        taken, self.records = self.records[:number], self.records[number:]
        rest = self.records[0].offset if self.records else self.stop
        self.start = min(rest, end)
        return taken, self.start


@dataclass
class Budget:
    """How much may be fetched at once: events, bytes, and, once there is anything, seconds."""

    rows: int
    bytes: int
    seconds: float
    _begun_s: float = field(default_factory=time.monotonic)

    def spend(self, rows: int, bytes_: int) -> None:
        """Take off what came."""
        self.rows -= rows
        self.bytes -= bytes_

    def is_spent(self) -> bool:
        """Whether enough has come."""
        late = time.monotonic() - self._begun_s > self.seconds
        return self.rows <= 0 or self.bytes <= 0 or late


@dataclass
class _Task:
    """What is being read: batches that grow, and where each is to end."""

    batches: dict[TopicPartition, Batch]
    ends: Mapping[TopicPartition, int]
    budget: Budget | None
    """None: read all, and no further than each end."""

    def open(self) -> list[TopicPartition]:
        """Partitions that have not reached their end."""
        return [key for key, batch in self.batches.items() if batch.stop < self.ends[key]]

    def is_done(self) -> bool:
        """Whether nothing more is wanted."""
        if self.budget is not None and self.budget.is_spent() and self._has_any():
            return True
        return not self.open()

    def _has_any(self) -> bool:
        return any(batch.stop > batch.start for batch in self.batches.values())


class Reader:
    """Reads over a link. What the client gave and nobody wanted yet is kept for the next time.

    All that the client has is taken from it at once: a partition that is paused while some of its
    messages wait there is not fetched from again, for minutes or ever (kafka-python 3.0.12).
    """

    def __init__(self, link: Link) -> None:
        self._link = link
        self._consumer: KafkaConsumer | None = None
        self._at: dict[TopicPartition, int] = {}
        self._ahead: dict[TopicPartition, _Ahead] = {}

    def fetch(
        self,
        starts: Mapping[TopicPartition, int],
        ends: Mapping[TopicPartition, int],
        budget: Budget,
    ) -> dict[TopicPartition, Batch]:
        """What comes within the budget, from these offsets on, until each end is reached.

        Raises Stopped if the run was asked to end; nothing is lost by that.
        """
        batches = {key: Batch(start, start) for key, start in starts.items()}
        return self._read(_Task(batches, ends, budget))

    def again(self, key: TopicPartition, start: int, stop: int) -> Batch:
        """Exactly the messages in `[start, stop)`, as often as one asks."""
        task = _Task({key: Batch(start, start)}, {key: stop}, None)
        return self._read(task)[key]

    def _read(self, task: _Task) -> dict[TopicPartition, Batch]:
        self._link.attempt("reading", lambda consumer: self._poll(consumer, task))
        return task.batches

    def _poll(self, consumer: KafkaConsumer, task: _Task) -> None:
        """Poll until the task is done. A task that was interrupted goes on where it was."""
        self._place(consumer, task)
        heard_s = time.monotonic()
        while True:
            if self._serve(task):
                heard_s = time.monotonic()
            if task.is_done():
                return
            consumer.pause(*(consumer.assignment() - set(task.open())))
            try:
                self._keep(consumer, consumer.poll(_POLL_MS, max_records=_ALL), task)
            except OffsetOutOfRangeError as error:
                self._out_of_range(consumer, error.args[0], task)
            self._check(task, time.monotonic() - heard_s)

    def _check(self, task: _Task, silent_s: float) -> None:
        stopped = self._link.stopped()
        if stopped and (task.budget is not None or silent_s > 1):
            raise Stopped("asked to end while messages were waited for")
        if silent_s > SILENCE_S and not task.is_done():
            raise KafkaTimeoutError(f"nothing came of {_names(task.open())} for {SILENCE_S:.0f} s")

    def _place(self, consumer: KafkaConsumer, task: _Task) -> None:
        """Have the client go on from where each batch ends, or from behind what is kept of it."""
        if consumer is not self._consumer:
            self._consumer, self._at, self._ahead = consumer, {}, {}
        wanted = set(task.open())
        if not wanted <= consumer.assignment():
            consumer.assign(sorted(wanted | consumer.assignment()))
        for key in wanted:
            kept, stop = self._ahead.get(key), task.batches[key].stop
            if (self._at.get(key) if kept is None else kept.start) != stop:
                self._seek(consumer, key, stop)
        consumer.resume(*wanted)

    def _seek(self, consumer: KafkaConsumer, key: TopicPartition, offset: int) -> None:
        consumer.seek(key, offset)
        self._at[key] = offset
        self._ahead.pop(key, None)

    def _keep(self, consumer: KafkaConsumer, polled: Mapping[Any, Any], task: _Task) -> None:
        """Put what came behind what is kept; where nothing came, the position may have moved."""
        for key in task.open():
            position = consumer.position(key)
            kept = self._ahead.setdefault(key, _Ahead(self._at[key], self._at[key], []))
            kept.records += polled.get(key, [])
            kept.stop = self._at[key] = position

    def _serve(self, task: _Task) -> bool:
        """Move what is kept into the batches, as far as it is wanted; whether any was moved.

        A budget is shared by all partitions of which something is kept.
        """
        moved = False
        while not task.is_done() and (ready := self._ready(task)):
            moved = True
            most = _ALL if task.budget is None else max(1, task.budget.rows // len(ready))
            for key in ready:
                records, stop = self._ahead[key].take(task.ends[key], most)
                rows = task.batches[key].add(records, stop)
                if task.budget is None:
                    continue
                task.budget.spend(rows, sum(one.serialized_value_size for one in records))
                if task.budget.is_spent():
                    break
        return moved

    def _ready(self, task: _Task) -> list[TopicPartition]:
        """Open partitions of which something is kept."""
        kept = {key: self._ahead[key].stop for key in task.open() if key in self._ahead}
        return [key for key, stop in kept.items() if stop > task.batches[key].stop]

    def _out_of_range(
        self, consumer: KafkaConsumer, offsets: Mapping[TopicPartition, int], task: _Task
    ) -> None:
        """Go on at the first message that is still there, and remember what is not."""
        timeout_ms = int(self._link.request_s * 1_000)
        begins = consumer.beginning_offsets(list(offsets), timeout_ms)
        for key in offsets:
            batch = task.batches[key]
            if begins[key] <= batch.stop:
                raise _shrunk(key, batch.stop, consumer.end_offsets([key], timeout_ms)[key])
            going_on = begins[key] if task.budget else min(begins[key], task.ends[key])
            first = batch.stop if batch.deleted is None else batch.deleted[0]
            batch.deleted, batch.stop = (first, going_on), going_on
            self._seek(consumer, key, going_on)


def _names(keys: list[TopicPartition]) -> str:
    shown = ", ".join(f"{key.topic}/{key.partition}" for key in keys[:3])
    return f"{shown} and {len(keys) - 3} more" if len(keys) > 3 else shown


def _shrunk(key: TopicPartition, offset: int, end: int) -> UserError:
    return UserError(
        f"{key.topic}/{key.partition}: expected a partition that only grows, received one that "
        f"ends at offset {end:,} where all before {offset:,} was read; the topic was made anew or "
        "its end was lost. Start with an empty --state and an empty --windows to read it from its "
        "beginning."
    )
