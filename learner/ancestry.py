"""From a registered version back to its windows: the chain of digests, computed again."""

import json
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow.artifacts
from mlflow.tracking import MlflowClient

from learner.lineage import initial_lineage, lineage_past, next_lineage
from learner.staging import LINEAGE
from schemas.errors import UserError
from schemas.windows.manifest import Manifest


@dataclass(frozen=True)
class Learned:
    """One window of a version's lineage, and what the window store has of it now."""

    start_ms: int
    digest: str
    standing: str
    """`sealed`, `missing`, or `another digest`; empty if no store was asked."""
    skipped: bool
    """Whether a rewind passed it over: the weights know nothing of it."""


@dataclass(frozen=True)
class Ancestry:
    """Where a version comes from."""

    version: str
    tags: Mapping[str, str]
    grown_from: str | None
    """The lineage that the first windows belong to, if the spec has grown since."""
    windows: tuple[Learned, ...]
    proven: bool
    """Whether identity and digests, hashed again, give the version's lineage id."""


def ancestry_of(
    client: MlflowClient, name: str, version: str, store: Iterable[Manifest] | None
) -> Ancestry:
    """The ancestry of a registered version; `store` holds the sealed windows to compare with.

    Raises UserError if the version has no record of its lineage.
    """
    tags = client.get_model_version(name, version).tags
    record = _record(client, name, version)
    lineage = initial_lineage(record["begins"])
    for window in record["windows"]:
        after = lineage_past if window.get("skipped") else next_lineage
        lineage = after(lineage, window["digest"])
    standing = None if store is None else {one.window_start_ms: one.digest for one in store}
    windows = tuple(
        Learned(one["start_ms"], one["digest"], _standing(one, standing), one.get("skipped", False))
        for one in [*record["earlier"], *record["windows"]]
    )
    grown_from = record["begins"].get("grown_from")
    return Ancestry(version, tags, grown_from, windows, lineage == tags.get("lineage_id"))


def _standing(window: Mapping[str, Any], standing: Mapping[int, str] | None) -> str:
    if standing is None:
        return ""
    digest = standing.get(window["start_ms"])
    if digest is None:
        return "missing"
    return "sealed" if digest == window["digest"] else "another digest"


def _record(client: MlflowClient, name: str, version: str) -> dict[str, Any]:
    source = client.get_model_version_download_uri(name, version)
    with tempfile.TemporaryDirectory() as scratch:
        try:
            place = mlflow.artifacts.download_artifacts(
                f"{source}/artifacts/model/{LINEAGE}",
                dst_path=scratch,
                tracking_uri=str(client.tracking_uri),
            )
        except OSError as error:
            raise UserError(
                f"{name}, version {version}: expected a record of its lineage ({LINEAGE}), "
                "received none. It was registered by another program, or its artifacts are gone."
            ) from error
        record: dict[str, Any] = json.loads(Path(place).read_text())
    return record
