"""Fixtures of the dead letters' tests."""

from tests.cli.conftest import run
from tests.kafka_server import kafka

__all__ = ["kafka", "run"]
