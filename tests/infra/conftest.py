"""Fixtures of the tests of servers."""

from tests.kafka_server import kafka

__all__ = ["kafka"]
