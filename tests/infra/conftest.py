"""Fixtures of the tests of servers."""

from tests.flink_server import flink
from tests.kafka_server import kafka

__all__ = ["flink", "kafka"]
