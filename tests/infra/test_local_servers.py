"""Local servers: what is said where one cannot be had, and that nothing is left of one that was."""

import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import psycopg
import pytest

from infra import debian, postgres
from infra.jars import Missing
from infra.mlflow import team
from infra.postgres import cluster
from schemas.errors import UserError
from tests.real_servers import REQUIRED, skipped_without

ROOT = Path(__file__).parents[2]


def test_without_postgresql_a_test_is_skipped_unless_servers_are_required(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "DEBIAN", tmp_path)
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv(REQUIRED, raising=False)
    with (
        pytest.raises(pytest.skip.Exception, match=r"needs PostgreSQL\. .* infra\.debian"),
        skipped_without("PostgreSQL"),
        postgres.local_postgres(),
    ):
        raise AssertionError("there is no PostgreSQL")
    monkeypatch.setenv(REQUIRED, "1")
    with pytest.raises(Missing), skipped_without("PostgreSQL"), postgres.local_postgres():
        raise AssertionError("there is no PostgreSQL")


def test_a_cluster_is_gone_when_its_block_ends() -> None:
    with skipped_without("PostgreSQL"), postgres.local_postgres() as database:
        with psycopg.connect(database.uri) as connection:
            (folder,) = connection.execute("SHOW data_directory").fetchone() or ("",)
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(database.uri.replace(database.password, "wrong"))
        assert not Path(folder).is_relative_to(cluster.DEBIAN)
    assert not Path(folder).parent.exists()
    with pytest.raises(psycopg.OperationalError, match="refused"):
        psycopg.connect(database.uri)


def test_a_port_that_is_taken_is_told_with_the_end_of_the_log(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(cluster, "free_port", lambda: port)
        with (
            skipped_without("PostgreSQL"),
            pytest.raises(
                UserError, match=rf"PostgreSQL to answer at 127\.0\.0\.1:{port} .* in use"
            ),
            postgres.local_postgres(),
        ):
            raise AssertionError("the port is taken")


def test_without_its_drivers_a_team_s_server_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(team, "find_spec", lambda name: None)
    with (
        pytest.raises(Missing, match=r"psycopg, boto3: expected .* extra `mlflow-server`"),
        team.team_mlflow(tmp_path),
    ):
        raise AssertionError("there are no drivers")


def test_packages_that_are_there_are_not_installed_again() -> None:
    if not debian.is_installed("dpkg"):
        pytest.skip("needs Debian")
    assert debian.install(["dpkg"]) == []


def test_a_package_that_cannot_be_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(Missing, match=r"no-such-thing: expected to be installed.* as root"):
        debian.install(["no-such-thing"])


@pytest.mark.slow
def test_the_command_runs_mlflow_until_it_is_asked_to_stop(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "infra.mlflow", "--port", "0", "--folder", str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        said = running.stdout.readline()
        assert said.startswith("MLflow answers at http://127.0.0.1:")
        uri = said.split()[3].rstrip(";")
        with urllib.request.urlopen(f"{uri}/health", timeout=30) as answer:
            assert answer.status == 200
        port = uri.rpartition(":")[2]
        taken = subprocess.run(
            [*command[:4], port], cwd=ROOT, capture_output=True, text=True, timeout=120
        )
        assert taken.returncode == 1
        assert f"infra.mlflow: 127.0.0.1:{port}: expected a free port" in taken.stderr
        running.send_signal(signal.SIGTERM)
        assert running.wait(60) == 0
    assert (tmp_path / "mlflow.db").exists()
