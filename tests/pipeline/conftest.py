"""Fixtures of the pipeline's tests."""

from tests.kafka_server import kafka

__all__ = ["kafka"]
