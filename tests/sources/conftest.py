"""Fixtures of the sources' tests."""

from tests.kafka_server import kafka

__all__ = ["kafka"]
