"""One Kafka broker for all tests of a process that need a real one; tests keep apart by topics."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from infra.kafka import Broker, local_kafka
from tests.real_servers import REQUIRED, skipped_without

__all__ = ["REQUIRED", "broker_in", "kafka", "skipped_without_kafka"]


def skipped_without_kafka() -> AbstractContextManager[None]:
    """Skip where Java or Maven are missing, unless servers are required."""
    return skipped_without("a Kafka broker")


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
