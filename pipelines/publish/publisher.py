"""Sends event tables to a Kafka cluster and makes sure that they arrived."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from kafka import KafkaAdminClient, KafkaProducer
from kafka.errors import KafkaError, TopicAlreadyExistsError

from pipelines.publish.messages import Encoder
from pipelines.publish.pace import Pace, chunks
from pipelines.sources.kafka.address import servers_of
from pipelines.sources.kafka.security import security_of
from schemas.errors import UserError
from schemas.events import arrow_schema

CONTACT_MS = 15_000
DELIVERY_MS = 15_000
"""After so long without an answer a producer is given up, and another one sends the rest."""

RECONNECT_MS = 1_000
"""Pauses between tries to reach a broker again grow up to this; the client's own 30 s outlast its
patience with the messages that wait."""

PATIENCE_S = 60.0
"""So long a cluster may stay away."""

LARGEST_MESSAGE_BYTES = 32 * 1024 * 1024
"""Of what the client sends; a broker allows 1 MB unless it is told otherwise."""

KEPT_FOR_EVER = {"retention.ms": "-1"}
"""Else a broker deletes what is old by its own time stamp, which replayed events are."""

Advance = Callable[[int], None]
Message = tuple[Any, ...]
"""What a producer's `send` takes."""

_log = logging.getLogger(__name__)


@dataclass
class Publisher:
    """A producer for the topics of a spec's streams.

    `partitions` is for topics that are not there yet. Every failure is a UserError.
    """

    address: str
    encoder: Encoder
    pace: Pace
    partitions: int = 4
    advance: Advance = lambda rows: None
    counts: Counter[str] = field(default_factory=Counter)
    times: list[int] = field(default_factory=list)
    _producer: KafkaProducer | None = None
    _partitions: dict[str, int] = field(default_factory=dict)

    def open(self) -> None:
        """Make the topics that are missing, and connect."""
        try:
            self._partitions = self._topics()
            self._producer = self._connected()
        except (KafkaError, OSError) as error:
            raise self._failed("to connect and to find or make its topics", error) from error

    def publish(self, tables: Mapping[str, pa.Table]) -> None:
        """Send tables by stream, each in order of arrival; returns when all has arrived."""
        plain = {name: self._plain(name, table) for name, table in tables.items()}
        for moment_ms, part in chunks(plain, self.pace.step_ms):
            self.pace.wait_for(moment_ms)
            for stream, table in part.items():
                self._send(stream, table)
            self.advance(sum(table.num_rows for table in part.values()))

    def close(self) -> None:
        """End the connection."""
        if self._producer is not None:
            self._producer.close(timeout=5)

    def send_raw(self, stream: str, values: Iterable[bytes]) -> None:
        """Send bytes as they are; returns when all have arrived."""
        topic = self.encoder.spec.streams[stream].topic
        self.counts[stream] += self._arrived(stream, ((topic, value) for value in values))

    def _send(self, stream: str, table: pa.Table) -> None:
        topic = self.encoder.spec.streams[stream].topic
        messages = self.encoder.messages(stream, table, self._partitions[topic])
        self._arrived(
            stream,
            ((topic, m.value, m.key, None, m.partition, m.timestamp_ms) for m in messages),
        )
        self.counts[stream] += table.num_rows
        self.times += pc.min_max(table["time_ms"]).as_py().values()

    def _arrived(self, stream: str, messages: Iterable[Message]) -> int:
        """Send messages and wait for all of them; how many there were.

        What has not arrived in time is sent again by a new producer.
        """
        left = list(messages)
        number, until_s = len(left), time.monotonic() + PATIENCE_S
        while left:
            sent: list[Any] = []
            try:
                self._producer = self._producer or self._connected()
                sent += (self._producer.send(*message) for message in left)
                self._producer.flush(DELIVERY_MS / 1_000)
                for one in sent:
                    one.get(0)
            except (KafkaError, OSError) as error:
                if time.monotonic() > until_s or not getattr(error, "retriable", True):
                    raise self._failed(f"to take events of stream {stream!r}", error) from error
                _log.warning("%s does not answer: %s. Sending again.", self.address, error)
                self._give_up()
            arrived = [one.is_done and one.succeeded() for one in sent]
            left = [m for at, m in enumerate(left) if at >= len(arrived) or not arrived[at]]
        return number

    def _connected(self) -> KafkaProducer:
        return KafkaProducer(
            **self._connection(),
            linger_ms=5,
            batch_size=256 * 1024,
            max_request_size=LARGEST_MESSAGE_BYTES,
            delivery_timeout_ms=DELIVERY_MS,
            request_timeout_ms=DELIVERY_MS // 3,
            max_block_ms=DELIVERY_MS,
            reconnect_backoff_max_ms=RECONNECT_MS,
            allow_auto_create_topics=False,
        )

    def _give_up(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            with suppress(KafkaError, OSError):
                producer.close(timeout=0)

    def _plain(self, stream: str, table: pa.Table) -> pa.Table:
        schema = arrow_schema(self.encoder.spec, stream)
        return table.select(schema.names).cast(schema)

    def _topics(self) -> dict[str, int]:
        """The number of partitions of each topic, after those that are missing were made."""
        wanted = [stream.topic for stream in self.encoder.spec.streams.values()]
        admin = KafkaAdminClient(**self._connection())
        try:
            made = set(wanted) - set(admin.list_topics())
            if made:
                settings = {"num_partitions": self.partitions, "configs": KEPT_FOR_EVER}
                try:
                    admin.create_topics(dict.fromkeys(made, settings), wait_for_metadata=True)
                except TopicAlreadyExistsError:
                    admin.wait_for_topics(list(made))  # somebody else was faster
            found = admin.describe_topics(wanted)
        finally:
            admin.close()
        return {one["name"]: len(one["partitions"]) for one in found}

    def _connection(self) -> dict[str, Any]:
        return {
            "bootstrap_servers": servers_of(self.address),
            "bootstrap_timeout_ms": CONTACT_MS,
            "client_id": "millstream",
            **security_of(self.encoder.spec.source.kafka),
        }

    def _failed(self, what: str, error: Exception) -> UserError:
        sent = sum(self.counts.values())
        return UserError(
            f"{self.address}: expected the cluster {what}, received: {error}. Events sent before: "
            f"{sent:,}; they stay there, and a pipeline drops what is sent twice. Check the "
            "address, that the broker runs, the spec's source.kafka section, and that no message "
            "is larger than the broker allows (1 MB unless told otherwise): a smaller --pack helps."
        )
