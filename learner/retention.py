"""How many versions stay: the newest, and whoever serves or has a name."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.tracking import MlflowClient

from learner.pins import Pins

log = logging.getLogger(__name__)


def retire(client: MlflowClient, name: str, keep: int) -> list[str]:
    """Delete what is older than the newest `keep` versions and has no alias; their numbers.

    Their artifacts go with them, first, so that a failure leaves a version that is tried again.
    Raises MlflowException if the server does not answer.
    """
    aliased = _aliased(client, name)
    numbers = [str(one.version) for one in client.search_model_versions(f"name='{name}'")]
    gone = retired(numbers, aliased, keep)
    for number in gone:
        source = client.get_model_version_download_uri(name, number)
        artifacts: Any = get_artifact_repository(source, tracking_uri=str(client.tracking_uri))
        artifacts.delete_artifacts()
        client.delete_model_version(name, number)
        log.info("retired %s version %s", name, number)
    return gone


def drop_doubles(client: MlflowClient, name: str) -> list[str]:
    """Delete all but the first version of each lineage; their numbers.

    A server so slow that the client gave up on it may do later what it was asked twice.
    Raises MlflowException if the server does not answer.
    """
    versions = client.search_model_versions(f"name='{name}'")
    found = {str(one.version): one.tags.get("lineage_id") for one in versions}
    first: dict[str | None, str] = {}
    for number in sorted(found, key=int):
        first.setdefault(found[number], number)
    doubles = [n for n, lineage in found.items() if lineage and first[lineage] != n]
    aliased = _aliased(client, name) if doubles else set()
    gone = [number for number in doubles if number not in aliased]
    for number in gone:
        client.delete_model_version(name, number)
        log.warning("%s version %s is gone: it was there twice", name, number)
    return gone


def _aliased(client: MlflowClient, name: str) -> set[str]:
    return {str(number) for number in client.get_registered_model(name).aliases.values()}


def release(client: MlflowClient, name: str, pins: Pins, waiting: Callable[[], set[str]]) -> None:
    """Let go of the checkpoints of versions that are neither registered nor wait to be.

    Whose pin is set meanwhile is not looked at; `waiting` gives the lineages that wait.
    Raises MlflowException if the server does not answer.
    """
    pinned = pins.lineages()
    needed = waiting()
    versions = client.search_model_versions(f"name='{name}'")
    needed |= {one.tags["lineage_id"] for one in versions if "lineage_id" in one.tags}
    for lineage in pinned - needed:
        pins.release(lineage)


def retired(numbers: Sequence[str], aliased: set[str], keep: int) -> list[str]:
    """The numbers to let go, the oldest first.

    >>> retired(["1", "2", "3", "10"], aliased={"1"}, keep=2)
    ['2']
    """
    oldest_first = sorted(numbers, key=int)
    return [n for n in oldest_first[: max(len(numbers) - keep, 0)] if n not in aliased]
