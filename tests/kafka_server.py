"""One Kafka broker for all tests of a process that need a real one; tests keep apart by topics."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from infra.kafka import Broker, Missing, local_kafka

REQUIRED = "MILLSTREAM_REQUIRE_SERVERS"
"""Set where nothing may be skipped."""


@contextmanager
def skipped_without_kafka() -> Iterator[None]:
    """Skip where Java or Maven are missing, unless servers are required."""
    try:
        yield
    except Missing as missing:
        if os.environ.get(REQUIRED):
            raise
        pytest.skip(f"needs a Kafka broker. {missing}")


@contextmanager
def broker_in(folder: Path, settings: dict[str, str] | None = None) -> Iterator[Broker]:
    """A broker of one's own, to be killed and started again."""
    with skipped_without_kafka(), local_kafka(folder, settings=settings) as broker:
        yield broker


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A running broker; tests keep apart by the topics that they choose."""
    with broker_in(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker
