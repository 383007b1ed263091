"""Fixtures of the tests of pages."""

from tests.kafka_server import kafka

__all__ = ["kafka"]
