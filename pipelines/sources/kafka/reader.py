"""Messages of partitions from given offsets on, in batches that say exactly what they cover."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaTimeoutError, OffsetOutOfRangeError

from pipelines.sources.kafka.link import Link
from pipelines.sources.kafka.messages import rows_in
from pipelines.sources.source import Stopped
from schemas.errors import UserError

SILENCE_S = 10.0
"""After so long without a message that must be there, the connection is made anew."""

_POLL_MS = 200
_AT_ONCE = 10_000


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
    """Reads over a link. What the client fetched ahead is kept for the next time."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._consumer: KafkaConsumer | None = None
        self._at: dict[TopicPartition, int] = {}

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
        while not task.is_done():
            before = sum(batch.stop for batch in task.batches.values())
            try:
                polled = consumer.poll(_POLL_MS, max_records=_records_at_once(task))
                self._take(consumer, polled, task)
            except OffsetOutOfRangeError as error:
                self._out_of_range(consumer, error.args[0], task)
            if sum(batch.stop for batch in task.batches.values()) > before:
                heard_s = time.monotonic()
            self._check(task, time.monotonic() - heard_s)

    def _check(self, task: _Task, silent_s: float) -> None:
        stopped = self._link.stopped()
        if stopped and (task.budget is not None or silent_s > 1):
            raise Stopped("asked to end while messages were waited for")
        if silent_s > SILENCE_S and not task.is_done():
            raise KafkaTimeoutError(f"nothing came of {_names(task.open())} for {SILENCE_S:.0f} s")

    def _place(self, consumer: KafkaConsumer, task: _Task) -> None:
        """Have the client fetch from the open partitions only, each from where its batch ends."""
        if consumer is not self._consumer:
            self._consumer, self._at = consumer, {}
        wanted = set(task.open())
        if not wanted <= consumer.assignment():
            consumer.assign(sorted(wanted | consumer.assignment()))
        for key in wanted:
            if self._at.get(key) != task.batches[key].stop:
                self._seek(consumer, key, task.batches[key].stop)
        consumer.resume(*wanted)
        consumer.pause(*(consumer.assignment() - wanted))

    def _seek(self, consumer: KafkaConsumer, key: TopicPartition, offset: int) -> None:
        consumer.seek(key, offset)
        self._at[key] = offset

    def _take(self, consumer: KafkaConsumer, polled: Mapping[Any, Any], task: _Task) -> None:
        for key in task.open():
            batch, records = task.batches[key], polled.get(key, [])
            position = consumer.position(key)
            self._at[key] = position
            if task.budget is None and position > task.ends[key]:
                records = [record for record in records if record.offset < task.ends[key]]
                position = task.ends[key]
            values = [record.value for record in records]
            rows = sum(map(rows_in, values))
            batch.offsets += [record.offset for record in records]
            batch.values += values
            batch.rows += rows
            batch.stop = max(batch.stop, position)
            if task.budget is not None:
                task.budget.spend(rows, sum(record.serialized_value_size for record in records))
            if batch.stop >= task.ends[key]:
                consumer.pause(key)

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


def _records_at_once(task: _Task) -> int:
    """Not more than is wanted: what the client fetched ahead then stays good."""
    if task.budget is not None:
        return max(1, min(_AT_ONCE, task.budget.rows))
    left = sum(task.ends[key] - task.batches[key].stop for key in task.open())
    return max(1, min(_AT_ONCE, left))


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
