"""The part of a registered version that one scenario needs, as a folder that MLflow serves."""

import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import mlflow
from mlflow.tracking import MlflowClient

from learner.registry import save_pyfunc
from learner.scorer import Scorer, save_scorer
from learner.staging import LINEAGE
from models.base import RankingModel
from models.optimisers import split_parameters
from schemas.errors import UserError


@dataclass(frozen=True)
class Exported:
    """How large the part is, tables aside."""

    parameters: int
    of: int
    """Parameters of the whole."""


def export(client: MlflowClient, name: str, version: str, scenario: str, folder: Path) -> Exported:
    """Write a version's part for a scenario into a new folder.

    Raises UserError if the folder is there, the scenario unknown, or the model has no such parts.
    """
    if folder.exists():
        raise UserError(
            f"--out {folder}: expected a folder that is not there yet, received one that is. Name "
            "another, or remove it."
        )
    source = client.get_model_version_download_uri(name, version)
    with tempfile.TemporaryDirectory(prefix="millstream-export-") as scratch:
        place = mlflow.artifacts.download_artifacts(
            f"{source}/artifacts/model", dst_path=scratch, tracking_uri=str(client.tracking_uri)
        )
        part = Path(scratch) / "part"
        exported = export_part(Path(place), scenario, part)
        save_pyfunc(folder, part)
    return exported


def export_part(whole: Path, scenario: str, folder: Path) -> Exported:
    """The same from what `save_scorer` wrote to what `Scorer.load` reads."""
    scorer = Scorer.load(whole)
    part = scorer.model.of_scenario(scenario)
    named = json.loads((whole / "model.json").read_text()) | {"scenario": scenario}
    folder.mkdir()
    save_scorer(folder, part.state_dict(), named, (whole / "spec.toml").read_text(encoding="utf-8"))
    shutil.copy(whole / LINEAGE, folder)
    return Exported(_dense(part), _dense(scorer.model))


def _dense(model: RankingModel) -> int:
    return sum(parameter.numel() for parameter in split_parameters(model).dense)
