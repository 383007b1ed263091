"""One MLflow server for all tests that need a real one; it takes many seconds to start."""

from collections.abc import Iterator

import pytest

from millstream.local_mlflow import local_mlflow


@pytest.fixture(scope="session")
def mlflow_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running server; tests keep apart by the names they choose."""
    with local_mlflow(tmp_path_factory.mktemp("mlflow")) as uri:
        yield uri
