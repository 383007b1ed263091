"""Fixtures of the pipeline's tests."""

from tests.flink_server import flink
from tests.kafka_server import kafka

__all__ = ["flink", "kafka"]
