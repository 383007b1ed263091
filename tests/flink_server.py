"""One Flink cluster for all tests of a process that need a real one."""

from collections.abc import Iterator

import pytest

from infra.flink import Cluster, local_flink
from tests.kafka_server import skipped_without_kafka


@pytest.fixture(scope="session")
def flink(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of two task managers, its job server and its workers."""
    folder = tmp_path_factory.mktemp("flink")
    with skipped_without_kafka(), local_flink(folder) as cluster:
        yield cluster
