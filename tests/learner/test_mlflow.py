"""Against a real MLflow server: one run, one version a lineage, nothing lost."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from learner.journal import Journal
from learner.promotion import CHALLENGER
from learner.registry import find
from learner.settings import LearnerSettings
from tests.learner.runs import NOWHERE, learn, shop
from tests.learner.world import SPEC, write_window

pytestmark = pytest.mark.slow

LOAD = """
import json, sys, mlflow
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model(sys.argv[2])
answer = model.predict(model.input_example)
print(json.dumps(answer.to_dict(orient="records")))
"""


def named(folder: Path, uri: str, name: str) -> LearnerSettings:
    """A learner whose experiment and versions have a name of their own."""
    settings = shop(folder, windows=3)
    return replace(
        settings, mlflow=uri, experiment=name, registered_model=name, mlflow_patience_s=120.0
    )


def test_metrics_and_versions_reach_mlflow(tmp_path: Path, mlflow_uri: str) -> None:
    settings = named(tmp_path, mlflow_uri, "reach")
    summary = learn(settings)
    client = MlflowClient(mlflow_uri)
    assert summary.unsent == 0
    assert summary.run_id is not None
    entries = [entry for entry, _ in Journal(settings.state / "metrics.jsonl").since(0)]
    auc = [e for e in entries if "click/all/auc" in e.metrics]
    logged = client.get_metric_history(summary.run_id, "click/all/auc")
    assert [(m.step, m.timestamp, m.value) for m in sorted(logged, key=lambda m: m.step)] == [
        (e.step, e.time_ms, e.metrics["click/all/auc"]) for e in auc
    ]
    assert "gauc.png" in [file.path for file in client.list_artifacts(summary.run_id)]
    versions = client.search_model_versions("name='reach'")
    assert len(versions) == len(summary.versions) == 2
    newest = client.get_model_version_by_alias("reach", CHALLENGER)
    assert newest.tags["lineage_id"] == summary.lineage_id
    assert newest.tags["windows"] == "3"
    assert float(newest.tags["click.gauc"]) >= 0


def test_a_version_loads_and_scores_in_a_process_of_its_own(
    tmp_path: Path, mlflow_uri: str
) -> None:
    learn(named(tmp_path, mlflow_uri, "fresh"))
    loaded = subprocess.run(
        [sys.executable, "-c", LOAD, mlflow_uri, f"models:/fresh@{CHALLENGER}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    (row,) = json.loads(loaded.stdout.splitlines()[-1])
    assert set(row) == set(SPEC.tasks)
    assert all(len(scores) == 2 and 0 < min(scores) <= max(scores) < 1 for scores in row.values())


def test_what_an_unreachable_server_missed_the_next_start_sends_once(
    tmp_path: Path, mlflow_uri: str
) -> None:
    settings = named(tmp_path, mlflow_uri, "late")
    assert learn(settings, mlflow=NOWHERE, mlflow_patience_s=0.0).unsent > 0
    summary = learn(settings)
    client = MlflowClient(mlflow_uri)
    assert (summary.windows, summary.unsent, len(summary.versions)) == (0, 0, 2)
    assert summary.run_id is not None
    assert len(client.get_metric_history(summary.run_id, "train/loss")) == 3
    write_window(settings.windows, 3)
    again = learn(settings)
    assert again.run_id == summary.run_id
    assert len(client.get_metric_history(summary.run_id, "train/loss")) == 4


def test_the_same_lineage_is_registered_once(tmp_path: Path, mlflow_uri: str) -> None:
    settings = named(tmp_path, mlflow_uri, "twins")
    first = learn(settings)
    other = learn(replace(settings, state=tmp_path / "other"))
    client = MlflowClient(mlflow_uri)
    assert other.lineage_id == first.lineage_id
    assert len(client.search_model_versions("name='twins'")) == len(first.versions)
    assert find(client, "twins", first.lineage_id) in first.versions
