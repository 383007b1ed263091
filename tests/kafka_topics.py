"""Topics of a test's own on a real broker, and what is put into them."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from uuid import uuid4

from kafka import KafkaAdminClient, KafkaProducer

from infra.kafka import Broker
from schemas.spec import Spec

Value = bytes | None


def with_own_topics(spec: Spec) -> Spec:
    """The same spec, but nobody else has topics of these names."""
    prefix = uuid4().hex[:8]
    streams = {n: replace(s, topic=f"{prefix}.{n}") for n, s in spec.streams.items()}
    return replace(spec, streams=streams)


def create_topics(
    broker: Broker, topics: Iterable[str], partitions: int = 1, **configs: str
) -> None:
    """Make topics; `configs` are theirs, with underscores for dots."""
    named = {name.replace("_", "."): value for name, value in configs.items()}
    admin = KafkaAdminClient(bootstrap_servers=broker.address)
    wanted = {"num_partitions": partitions, "replication_factor": 1, "configs": named}
    admin.create_topics(dict.fromkeys(topics, wanted), wait_for_metadata=True)
    admin.close()


def add_partitions(broker: Broker, topic: str, partitions: int) -> None:
    """Let a topic have so many partitions from now on."""
    admin = KafkaAdminClient(bootstrap_servers=broker.address)
    admin.create_partitions({topic: partitions})
    admin.close()


def send(broker: Broker, values: Mapping[str, Iterable[Value]], partition: int = 0) -> None:
    """Put values into one partition of topics, in order."""
    with KafkaProducer(bootstrap_servers=broker.address) as producer:
        sent = [
            producer.send(topic, value, key=b"any", partition=partition)
            for topic, some in values.items()
            for value in some
        ]
        for one in sent:
            one.get(30)
