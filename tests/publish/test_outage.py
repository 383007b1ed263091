"""A cluster that is away while events are sent: they are sent again, or one is told."""

import logging
import os
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Timer

import pytest
from kafka import KafkaConsumer, TopicPartition

from infra.kafka import Broker
from pipelines.publish import publisher
from pipelines.publish.messages import Encoder
from pipelines.publish.pace import Pace
from pipelines.publish.publisher import Publisher
from schemas.errors import UserError
from schemas.spec import Spec
from tests.kafka_server import broker_in
from tests.kafka_topics import with_own_topics
from tests.pipeline.small_world import small_spec

pytestmark = pytest.mark.slow


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """One that nobody else uses."""
    with broker_in(tmp_path) as broker:
        yield broker


@pytest.fixture
def spec() -> Spec:
    return with_own_topics(small_spec())


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A producer is given up after a second, another try at contact as well."""
    monkeypatch.setattr(publisher, "DELIVERY_MS", 1_000)
    monkeypatch.setattr(publisher, "CONTACT_MS", 1_000)


def values_in(broker: Broker, topic: str) -> list[bytes]:
    """All that partition 0 of a topic holds."""
    key = TopicPartition(topic, 0)
    found: list[bytes] = []
    with closing(KafkaConsumer(bootstrap_servers=broker.address)) as consumer:
        consumer.assign([key])
        consumer.seek_to_beginning(key)
        stop = consumer.end_offsets([key])[key]
        while consumer.position(key) < stop:
            for some in consumer.poll(1_000).values():
                found += [record.value for record in some]
    return found


def test_what_did_not_arrive_in_time_is_sent_again(
    broker: Broker, spec: Spec, caplog: pytest.LogCaptureFixture
) -> None:
    sender = Publisher(broker.address, Encoder(spec, "json"), Pace(None), partitions=1)
    sender.open()
    with closing(sender), caplog.at_level(logging.WARNING, publisher.__name__):
        sender.send_raw("click", [b"before"])
        os.kill(broker.pid, signal.SIGSTOP)
        Timer(3.0, os.kill, (broker.pid, signal.SIGCONT)).start()
        sender.send_raw("click", [b"while", b"it is away"])
        sender.send_raw("click", [b"after"])
    assert "does not answer" in caplog.text
    assert sender.counts == {"click": 4}
    arrived = list(dict.fromkeys(values_in(broker, spec.streams["click"].topic)))
    assert arrived == [b"before", b"while", b"it is away", b"after"]


def test_a_cluster_that_stays_away_is_told_in_one_paragraph(
    broker: Broker, spec: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "PATIENCE_S", 2.0)
    sender = Publisher(broker.address, Encoder(spec, "json"), Pace(None), partitions=1)
    sender.open()
    with closing(sender):
        sender.send_raw("click", [b"before"])
        broker.kill()
        with pytest.raises(UserError, match="to take events of stream 'click'.* sent before: 1;"):
            sender.send_raw("click", [b"never"])
