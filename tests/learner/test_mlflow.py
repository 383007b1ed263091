"""Against a real MLflow server: one run, one version a lineage, nothing lost."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from zipfile import ZipFile

import mlflow
import pytest
from mlflow.tracking import MlflowClient

from learner.journal import Journal
from learner.promotion import CHALLENGER
from learner.registry import find
from learner.settings import LearnerSettings
from millstream.local_mlflow import free_port
from tests.learner.runs import NOWHERE, learn, shop
from tests.learner.world import SPEC, write_window

pytestmark = pytest.mark.slow

LOAD = """
import json, pickle, sys, cloudpickle, mlflow, torch

def refused(*args, **kwargs):
    raise AssertionError("a pickle was read")

pickle.load = cloudpickle.load = torch.load = refused
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model(sys.argv[2])
answer = model.predict(model.input_example)
for package in ("learner", "models", "schemas"):
    assert "code/millstream.zip" in sys.modules[package].__file__, sys.modules[package]
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
    artifacts = [file.path for file in client.list_artifacts(summary.run_id)]
    pictures = {"gauc.png", "tables.png", "freshness.png", "calibration.png"}
    assert pictures <= set(artifacts)
    assert "attention.png" not in artifacts  # there is none in this model
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


def downloaded(uri: str, name: str, folder: Path) -> Path:
    """All artifacts of the challenger."""
    client = MlflowClient(uri)
    number = client.get_model_version_by_alias(name, CHALLENGER).version
    source = client.get_model_version_download_uri(name, number)
    (folder / "got").mkdir()
    place = mlflow.artifacts.download_artifacts(
        source, dst_path=str(folder / "got"), tracking_uri=uri
    )
    return Path(place)


def test_nothing_of_a_version_is_a_pickle(tmp_path: Path, mlflow_uri: str) -> None:
    learn(named(tmp_path, mlflow_uri, "plain"))
    place = downloaded(mlflow_uri, "plain", tmp_path)
    files = [path for path in place.rglob("*") if path.is_file()]
    assert "weights.safetensors" in {path.name for path in files}
    suffixes = {path.suffix for path in files}
    assert suffixes <= {".json", ".py", ".safetensors", ".toml", ".txt", ".yaml", ".zip", ""}
    (code,) = (path for path in files if path.suffix == ".zip")
    with ZipFile(code) as archive:
        assert {Path(name).suffix for name in archive.namelist()} == {".py"}
        parts = [archive.read(name) for name in archive.namelist()]
    for content in (*parts, *(path.read_bytes() for path in files if path != code)):
        assert not content.startswith((b"\x80", b"PK"))  # pickles; what torch.save writes


def test_mlflow_serves_a_version_and_it_answers_json(tmp_path: Path, mlflow_uri: str) -> None:
    learn(named(tmp_path, mlflow_uri, "served"))
    place = downloaded(mlflow_uri, "served", tmp_path)
    request = (place / "serving_input_example.json").read_bytes()
    with answering(f"models:/served@{CHALLENGER}", mlflow_uri, tmp_path) as address:
        asked = urllib.request.Request(
            f"{address}/invocations", request, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(asked, timeout=120) as answer:
            (row,) = json.loads(answer.read())["predictions"]
    assert set(row) == set(SPEC.tasks)
    assert all(len(scores) == 2 and 0 < min(scores) <= max(scores) < 1 for scores in row.values())


@contextmanager
def answering(model: str, uri: str, folder: Path) -> Iterator[str]:
    """With `mlflow models serve` on a free port, its log beside it."""
    address = f"http://127.0.0.1:{free_port()}"
    words = [sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local"]
    words += ["--model-uri", model, "--port", address.rpartition(":")[2], "--workers", "1"]
    bin_first = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"MLFLOW_TRACKING_URI": uri, "PATH": bin_first}
    with (folder / "serve.log").open("wb") as log:
        process = subprocess.Popen(
            words, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        deadline = time.monotonic() + 200
        while not is_up(f"{address}/ping"):
            said = (folder / "serve.log").read_text()
            assert process.poll() is None and time.monotonic() < deadline, said
            time.sleep(0.5)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def is_up(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


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


def test_each_day_has_a_run_of_its_own_under_the_learners(tmp_path: Path, mlflow_uri: str) -> None:
    settings = replace(named(tmp_path, mlflow_uri, "days"), windows=tmp_path / "two_days")
    for hour in (0, 1, 24):
        write_window(settings.windows, hour)
    summary = learn(settings)
    assert summary.run_id is not None
    client = MlflowClient(mlflow_uri)
    headlines = client.get_run(summary.run_id).data.metrics
    assert "click/all/auc" in headlines
    assert "click/home/auc" not in headlines
    assert steps_by_day(client, summary.run_id) == {"2023-11-14": [0, 1], "2023-11-15": [2]}
    write_window(settings.windows, 25)
    assert learn(settings).run_id == summary.run_id
    assert steps_by_day(client, summary.run_id) == {"2023-11-14": [0, 1], "2023-11-15": [2, 3]}


def steps_by_day(client: MlflowClient, parent: str) -> dict[str, list[int]]:
    """The steps of one scenario's metric in each day's run; all of them are ended."""
    experiment = client.get_run(parent).info.experiment_id
    runs = client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{parent}'")
    assert {run.info.status for run in runs} == {"FINISHED"}
    return {
        run.data.tags["day"]: sorted(
            m.step for m in client.get_metric_history(run.info.run_id, "click/home/auc")
        )
        for run in runs
    }


def test_old_versions_are_retired_but_never_one_with_an_alias(
    tmp_path: Path, mlflow_uri: str
) -> None:
    settings = replace(named(tmp_path, mlflow_uri, "kept"), keep_versions=2)
    learn(settings)
    client = MlflowClient(mlflow_uri)
    client.set_registered_model_alias("kept", "champion", "1")
    for index in range(3, 9):
        write_window(settings.windows, index)
    summary = learn(settings)
    left = {str(one.version) for one in client.search_model_versions("name='kept'")}
    aliases = client.get_registered_model("kept").aliases
    assert aliases["champion"] == "1"
    assert left == {"4", "5", *map(str, aliases.values())}
    assert summary.run_id is not None
    artifacts = [one.path for one in client.list_artifacts(summary.run_id, "versions")]
    sources = [client.get_model_version_download_uri("kept", number) for number in sorted(left)]
    assert artifacts == sorted(source[source.index("versions/") :] for source in sources)
