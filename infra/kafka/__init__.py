"""Apache Kafka on this machine, for a person to try and for tests: one process, KRaft mode."""

from infra.jars import Missing
from infra.kafka.broker import Broker, local_kafka

__all__ = ["Broker", "Missing", "local_kafka"]
