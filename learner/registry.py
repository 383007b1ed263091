"""Registered versions: staged on disk by the learner, then registered once each.

Staging writes a complete folder and renames it, with no server involved; registering is
idempotent by lineage id, so that it can be repeated after any failure.
"""

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import mlflow.pyfunc
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.tracking import MlflowClient
from mlflow.types.schema import Array, ColSpec, DataType, Schema, TensorSpec

from learner.gate import Decision
from learner.pictures import draw_calibration
from learner.promotion import CHALLENGER
from learner.pyfunc_columns import JSON_COLUMNS
from learner.requests import example_request
from learner.scorer import save_scorer
from learner.trainer import Trainer
from schemas.durable import flush, write_json
from schemas.spec import Spec, load

REQUIREMENTS = (
    "torch",
    "safetensors",
    "numba",
    "numpy",
    "pandas",
    "pyarrow",
    "polars",
    "polars-hash",
)
PACKAGES = ("schemas", "models", "learner")
LINEAGE = "lineage.json"
CALIBRATION = "calibration.png"
ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Staged:
    """A version that waits on disk to be registered."""

    folder: Path

    @property
    def tags(self) -> dict[str, str]:
        """The version's tags, `lineage_id` among them."""
        tags: dict[str, str] = json.loads((self.folder / "tags.json").read_text())
        return tags

    @property
    def pictures(self) -> list[Path]:
        """What to show beside the metrics."""
        return sorted(self.folder.glob("*.png"))

    def discard(self) -> None:
        """Remove it: it is registered."""
        shutil.rmtree(self.folder)


def stage(root: Path, trainer: Trainer, spec_text: str, decision: Decision) -> Staged:
    """Write the trainer's state as a version to be; the same lineage is staged once."""
    progress = trainer.progress
    staged = Staged(root / f"{progress.step:08d}-{progress.lineage[:16]}")
    if staged.folder.exists():
        return staged
    part = root / ".part"
    shutil.rmtree(part, ignore_errors=True)
    (part / "model").mkdir(parents=True)
    with trainer.optimisers.average.in_place():
        save_scorer(part / "model", trainer.model, trainer.identity.to_json(), spec_text)
    write_json(part / "model" / LINEAGE, lineage_of(trainer))
    draw_calibration(trainer.since_version, trainer.layout, part / CALIBRATION)
    write_json(part / "tags.json", version_tags(trainer) | decision.tags)
    part.rename(staged.folder)
    flush(root)
    return staged


def lineage_of(trainer: Trainer) -> dict[str, Any]:
    """What the lineage id is made of: the state's beginning, and every window since.

    Windows that were learned under a spec that had less belong to the lineage it was grown from.
    """
    progress = trainer.progress
    grown = {"grown_from": progress.grown_from} if progress.grown_from else {}
    chain = zip(progress.consumed, progress.digests, strict=True)
    windows = [
        {"start_ms": start, "digest": digest, "skipped": start in progress.skipped}
        for start, digest in chain
    ]
    return {
        "begins": trainer.identity.to_json() | grown,
        "earlier": windows[: progress.grown_at],
        "windows": windows[progress.grown_at :],
    }


def waiting(root: Path) -> list[Staged]:
    """Staged versions, oldest first."""
    if not root.is_dir():
        return []
    return [Staged(path) for path in sorted(root.iterdir()) if path.name[0] != "."]


def version_tags(trainer: Trainer) -> dict[str, str]:
    """Where a version comes from and how its windows were scored before it learned them."""
    progress = trainer.progress
    tags = {
        "lineage_id": progress.lineage,
        "model": trainer.identity.model,
        "preset": trainer.identity.preset,
        "spec_digest": trainer.identity.spec_digest,
        "code_version": code_version(),
        "windows": str(progress.learned),
    }
    if progress.skipped:
        tags["skipped_windows"] = str(len(progress.skipped))
    if progress.version:
        tags["parent_lineage_id"] = progress.version
    for name, ref in (("first_window", progress.first), ("last_window", progress.last)):
        if ref is not None:
            tags |= {f"{name}_start_ms": str(ref.start_ms), f"{name}_digest": ref.digest}
    return tags | _metric_tags(trainer)


def code_version() -> str:
    """The installed version of this software."""
    return installed("millstream")


def register(client: MlflowClient, staged: Staged, name: str, run_id: str) -> str:
    """Register a staged version unless its lineage is there already.

    It becomes the challenger if the gate let it pass.

    Returns the version's number. Raises MlflowException if the server does not answer.
    """
    tags = staged.tags
    number = find(client, name, tags["lineage_id"]) or _create(client, staged, name, run_id, tags)
    if tags["gate"] == "passed":
        client.set_registered_model_alias(name, CHALLENGER, number)
    return number


def find(client: MlflowClient, name: str, lineage: str) -> str | None:
    """The number of the first version with that lineage id."""
    query = f"name='{name}' and tags.`lineage_id`='{lineage}'"
    numbers = [str(one.version) for one in client.search_model_versions(query)]
    return min(numbers, key=int, default=None)


def _create(
    client: MlflowClient, staged: Staged, name: str, run_id: str, tags: Mapping[str, str]
) -> str:
    place = f"versions/{staged.folder.name}"
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "version"
        _save_pyfunc(folder, staged.folder / "model")
        client.log_artifacts(run_id, str(folder), place)
    _ensure_registered_model(client, name)
    source = f"{client.get_run(run_id).info.artifact_uri}/{place}"
    created = client.create_model_version(
        name, source, run_id, tags=dict(tags), description=described(tags)
    )
    return str(created.version)


def described(tags: Mapping[str, str]) -> str:
    """What a person reads first on a version's page, in Markdown."""
    tasks = [key.removesuffix(".gauc") for key in tags if key.count(".") == 1 and "gauc" in key]
    columns = ("{}.gauc", "baseline_item_ctr.{}.gauc", "{}.auc", "{}.normalised_entropy")
    lines = [
        f"Gate: **{tags['gate']}**, {tags['gate_reason']}.",
        "",
        f"Made of {tags['windows']} windows. Those since the version before, scored before they "
        "were learned:",
        "",
        "| task | GAUC | GAUC of item CTR | AUC | normalised entropy | calibration |",
        "|---|---|---|---|---|---|",
    ]
    for task in tasks:
        values = (tags[one.format(task)] for one in (*columns, "{}.calibration"))
        lines.append(f"| {task} | " + " | ".join(f"{float(v):.4f}" for v in values) + " |")
    return "\n".join(lines)


def _save_pyfunc(folder: Path, model: Path) -> None:
    spec = load(model / "spec.toml")
    mlflow.pyfunc.save_model(
        path=folder,
        python_model=str(Path(__file__).with_name("pyfunc_model.py")),
        artifacts={"model": str(model)},
        code_paths=[str(ROOT / package) for package in PACKAGES],
        signature=signature(spec),
        input_example=rows_of([example_request(spec)]),
        pip_requirements=[f"{name}=={installed(name)}" for name in (*REQUIREMENTS, "xxhash")],
    )


def signature(spec: Spec) -> ModelSignature:
    """Requests in, a list of probabilities a task out."""
    kinds = {"time_ms": DataType.long}
    columns = ("user", "scenario", "time_ms", *JSON_COLUMNS)
    inputs: list[ColSpec | TensorSpec] = [
        ColSpec(kinds.get(column, DataType.string), column) for column in columns
    ]
    outputs: list[ColSpec | TensorSpec] = [
        ColSpec(Array(DataType.double), task) for task in spec.tasks
    ]
    return ModelSignature(inputs=Schema(inputs), outputs=Schema(outputs))


def rows_of(requests: Sequence[Mapping[str, Any]]) -> Any:
    """Requests as the data frame that a version takes."""
    import pandas as pd

    return pd.DataFrame(
        {key: json.dumps(value) if key in JSON_COLUMNS else value for key, value in one.items()}
        for one in requests
    )


def _metric_tags(trainer: Trainer) -> dict[str, str]:
    verdict = trainer.since_version
    tags = {}
    for scorer, card in (("", verdict.model), ("baseline_item_ctr.", verdict.baseline)):
        results = card.results()
        for metric in ("auc", "gauc", "normalised_entropy", "calibration"):
            for task, value in zip(trainer.layout.tasks, results[metric][:, -1], strict=True):
                tags[f"{scorer}{task}.{metric}"] = f"{value:.6f}"
    return tags


def _ensure_registered_model(client: MlflowClient, name: str) -> None:
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
