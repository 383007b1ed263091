"""Fixtures of the learner's tests."""

import pytest
import torch

from tests.mlflow_server import mlflow_uri

__all__ = ["mlflow_uri"]


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)
