"""Registered versions: what was staged on disk, registered once each.

Registering is idempotent by lineage id, so that it can be repeated after any failure.
"""

import json
import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import mlflow.pyfunc
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.tracking import MlflowClient
from mlflow.types.schema import Array, ColSpec, DataType, Schema, TensorSpec

from learner.promotion import CHALLENGER
from learner.pyfunc_columns import JSON_COLUMNS
from learner.requests import example_request
from learner.staging import Staged
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
ROOT = Path(__file__).resolve().parent.parent
CODE = "millstream.zip"
"""The packages as a version carries them; its `pyfunc_model.py` puts them first on the path."""


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
        save_pyfunc(folder, staged.folder / "model")
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


def save_pyfunc(folder: Path, model: Path) -> None:
    """Write what MLflow loads and serves, from what `save_scorer` wrote."""
    spec = load(model / "spec.toml")
    named = json.loads((model / "model.json").read_text())
    example = example_request(spec)
    example["scenario"] = named.get("scenario", example["scenario"])
    with tempfile.TemporaryDirectory() as scratch:
        code = Path(scratch) / CODE
        _pack(code)
        mlflow.pyfunc.save_model(
            path=folder,
            python_model=str(Path(__file__).with_name("pyfunc_model.py")),
            artifacts={"model": str(model)},
            code_paths=[str(code)],
            signature=signature(spec),
            input_example=rows_of([example]),
            pip_requirements=[f"{name}=={installed(name)}" for name in (*REQUIREMENTS, "xxhash")],
        )


def _pack(code: Path) -> None:
    """The packages in one file: MLflow sends and stores each file by itself."""
    with ZipFile(code, "w", ZIP_DEFLATED) as archive:
        for package in PACKAGES:
            for file in sorted((ROOT / package).rglob("*.py")):
                archive.write(file, file.relative_to(ROOT))


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


def _ensure_registered_model(client: MlflowClient, name: str) -> None:
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
