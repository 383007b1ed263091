"""MLflow on a real PostgreSQL and an S3 store: what the learner asks of it holds there."""

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import mlflow.pyfunc
import psycopg
import pytest
from mlflow.tracking import MlflowClient

from infra.mlflow import Team, team_mlflow
from infra.postgres.cluster import programs
from infra.s3 import BUCKET
from learner.promotion import champion_of, promote
from tests.learner.runs import learn, shop
from tests.learner.world import SPEC, write_window
from tests.real_servers import skipped_without

pytestmark = pytest.mark.slow
NAME = "team"


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """A server that a team could use."""
    with (
        skipped_without("PostgreSQL and an S3 store"),
        team_mlflow(tmp_path_factory.mktemp("team")) as team,
    ):
        yield team


def in_database(team: Team) -> list[str]:
    """Numbers of the versions that PostgreSQL holds; MLflow marks the row of a deleted one."""
    query = "SELECT version, current_stage FROM model_versions WHERE name = %s ORDER BY version"
    with psycopg.connect(team.database.uri) as connection:
        rows = connection.execute(query, (NAME,)).fetchall()
    return [str(number) for number, stage in rows if stage != "Deleted_Internal"]


def in_bucket(team: Team, version: str) -> list[str]:
    """Keys of a version's objects."""
    source = MlflowClient(team.uri).get_model_version_download_uri(NAME, version)
    below = "artifacts/" + source.removeprefix("mlflow-artifacts:/")
    listed = team.store.client().list_objects_v2(Bucket=BUCKET, Prefix=f"{below}/")
    return [one["Key"] for one in listed.get("Contents", [])]


def test_versions_are_registered_promoted_loaded_and_retired(
    team: Team, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", team.uri)
    settings = replace(
        shop(tmp_path, windows=2),
        mlflow=team.uri,
        experiment=NAME,
        registered_model=NAME,
        register_every_windows=1,
        mlflow_patience_s=120.0,
    )
    summary = learn(settings)
    assert (summary.versions, summary.unsent) == (("1", "2"), 0)
    assert in_database(team) == ["1", "2"]
    first = in_bucket(team, "1")
    assert [key for key in first if key.endswith(".safetensors")]
    assert summary.run_id is not None
    client = MlflowClient(team.uri)
    assert len(client.get_metric_history(summary.run_id, "train/loss")) == 2

    promote(client, NAME, "1", "first")
    model = mlflow.pyfunc.load_model(f"models:/{NAME}@champion")
    answer = model.predict(model.input_example)
    assert set(answer.columns) == set(SPEC.tasks)
    assert all(0 < score < 1 for scores in answer["click"] for score in scores)

    promote(client, NAME, "2", "newer")
    write_window(settings.windows, 2)
    assert learn(settings, keep_versions=1).versions == ("3",)
    assert champion_of(client, NAME) == "2"
    assert in_database(team) == ["2", "3"]
    left = {one["Key"] for one in team.store.client().list_objects_v2(Bucket=BUCKET)["Contents"]}
    assert not left & set(first)
    assert in_bucket(team, "2") and in_bucket(team, "3")
    assert "TABLE DATA public model_versions" in backed_up(team, tmp_path)


def backed_up(team: Team, folder: Path) -> str:
    """What is in a copy of the database, made as the page on MLflow says."""
    copy = folder / "mlflow.dump"
    said = ""
    for command in (
        ["pg_dump", "--format=custom", f"--file={copy}", team.database.uri],
        ["pg_restore", "--list", copy],
    ):
        words = [programs() / command[0], *command[1:]]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        said = done.stdout
    return said
