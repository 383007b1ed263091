"""Fixtures of the tests of publishing."""

from tests.kafka_server import kafka

__all__ = ["kafka"]
