"""Events in Kafka: a topic for each stream, all partitions assigned by hand.

Offsets belong to whoever asks: no consumer group is joined and nothing is committed in Kafka.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np
from kafka import KafkaConsumer, TopicPartition

from pipelines.dead_letters import DeadLetter
from pipelines.sources.kafka.address import servers_of
from pipelines.sources.kafka.link import Link
from pipelines.sources.kafka.messages import Messages, decode
from pipelines.sources.kafka.reader import Batch, Budget, Reader
from pipelines.sources.kafka.security import security_of
from pipelines.sources.raw import Range, RawRows
from schemas.errors import UserError
from schemas.spec import Spec
from schemas.spec.table import near_match


@dataclass(frozen=True)
class Partition:
    """A partition of a stream's topic; what lies before offset `end` can be read now."""

    stream: str
    topic: str
    number: int
    end: int

    @property
    def name(self) -> str:
        """What ranges and dead letters call it."""
        return f"{self.topic}/{self.number}"

    @property
    def key(self) -> TopicPartition:
        """What the client calls it."""
        return TopicPartition(self.topic, self.number)


class KafkaSource:
    """The topics of a spec's streams on one cluster.

    `stopped` and `patience_s` are those of `Link`. Raises UserError if two streams share a topic,
    for an address that is none, or for security settings that cannot work.
    """

    def __init__(
        self,
        address: str,
        spec: Spec,
        *,
        stopped: Callable[[], bool] = lambda: False,
        patience_s: float | None = None,
    ) -> None:
        self.address, self.spec = address, spec
        self._streams = _streams_by_topic(spec)
        security = security_of(spec.source.kafka)
        self.link = Link(servers_of(address), security, stopped, patience_s)
        self._reader = Reader(self.link)
        self._fetched: dict[str, Batch] = {}

    def partitions(self) -> list[Partition]:
        """All partitions of all topics as they are now, by topic and number; see `Link.attempt`.

        A topic that is not there has none.
        """
        return self.link.attempt("asking for partitions", self._partitions)

    def missing(self, found: Collection[Partition]) -> UserError | None:
        """What to say if a stream's topic has no partition among these."""
        named = {partition.topic for partition in found}
        for topic, stream in self._streams.items():
            if topic not in named:
                there = self.link.attempt("asking for topics", lambda consumer: consumer.topics())
                return UserError(
                    f"{self.address}: expected a topic {topic!r} for stream {stream!r}, received "
                    f"none of that name{near_match(topic, there)}. Create it, or name the "
                    f"stream's topic in the spec: streams.{stream}.topic."
                )
        return None

    def fetch(self, starts: Mapping[Partition, int], budget: Budget) -> list[Range]:
        """Fetch from these partitions, each from an offset, up to their ends or the budget.

        Gives what came as ranges, which `read_range` then has at hand. Raises Stopped.
        """
        ends = {partition.key: partition.end for partition in starts}
        offsets = {partition.key: start for partition, start in starts.items()}
        batches = self._reader.fetch(offsets, ends, budget)
        self._fetched = {p.name: batches[p.key] for p in starts}
        return [
            Range(p.stream, p.name, one.start, one.stop, one.rows, one.start)
            for p, one in ((p, batches[p.key]) for p in starts)
            if one.stop > one.start
        ]

    def read_range(self, wanted: Range) -> RawRows:
        """The events of a range, fetched again unless `fetch` has just done so."""
        batch = self._fetched.pop(wanted.name, None)
        if batch is None or (batch.start, batch.stop) != (wanted.start, wanted.stop):
            topic, _, number = wanted.name.rpartition("/")
            key = TopicPartition(topic, int(number))
            batch = self._reader.again(key, wanted.start, wanted.stop)
        messages = Messages(batch.values, np.array(batch.offsets, np.int64))
        contents, letters = decode(self.spec, wanted.stream, messages)
        if batch.deleted is not None:
            letters.append(_deleted(*batch.deleted))
        return RawRows(contents, wanted.dead_letters(letters))

    def answers(self) -> bool:
        """See `Source.answers`."""
        return self.link.answers

    def close(self) -> None:
        """End the connection."""
        self.link.close()

    def _partitions(self, consumer: KafkaConsumer) -> list[Partition]:
        """Partitions that were all there before their ends were asked for, and no more after.

        One made in between would be missing here, while its siblings' ends count what was written
        since it was made: a watermark would pass by what it holds.
        """
        timeout_ms = int(self.link.request_s * 1_000)
        keys = self._keys(consumer)
        while True:
            ends = consumer.end_offsets(keys, timeout_ms) if keys else {}
            asked, keys = keys, self._keys(consumer)
            if keys == asked:
                break
        return [
            Partition(self._streams[key.topic], key.topic, key.partition, ends[key]) for key in keys
        ]

    def _keys(self, consumer: KafkaConsumer) -> list[TopicPartition]:
        return [
            TopicPartition(topic, number)
            for topic in sorted(self._streams.keys() & consumer.topics())
            for number in sorted(consumer.partitions_for_topic(topic))
        ]


def _streams_by_topic(spec: Spec) -> dict[str, str]:
    streams: dict[str, str] = {}
    for stream in spec.streams.values():
        if stream.topic in streams:
            raise UserError(
                f"spec {spec.name!r}: expected a topic of its own for each stream, received "
                f"{stream.topic!r} for {streams[stream.topic]!r} and {stream.name!r}"
            )
        streams[stream.topic] = stream.name
    return streams


def _deleted(first: int, last: int) -> DeadLetter:
    """What stands for messages that nobody can read any more."""
    told = f"offsets {first} to {last - 1} were deleted by the cluster before they were read"
    return DeadLetter(first, "deleted", None, told.encode())
