import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib import metadata
from pathlib import Path
from threading import Thread

import pytest

from millstream import checks
from millstream.checks import Check

ABSENT = "a-library-that-nobody-wrote"


class Health(BaseHTTPRequestHandler):
    """The health page of an MLflow server."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()
        self.wfile.write(b"OK")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Health) as http:
        Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()


@pytest.fixture
def well(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that has all it needs, but no Java."""
    java = Check("java", False, "not found", "Install Java 17", optional=True)
    monkeypatch.setattr(checks, "libraries", lambda name: iter([Check(name, True, "0.1.0")]))
    monkeypatch.setattr(checks, "java", lambda: java)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def test_what_is_optional_does_not_fail(run, well) -> None:
    answer = run("doctor")
    assert (answer.code, answer.err) == (0, "")
    lines = {line.split()[1]: line for line in answer.out.splitlines()}
    assert lines["millstream"].split() == ["ok", "millstream", "0.1.0"]
    assert lines["java"].startswith("optional")
    assert lines["java"].endswith("not found. Install Java 17")


def test_what_is_needed_fails_with_a_remedy(run, well, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = Check("torch", False, "not installed", checks.SETUP)
    monkeypatch.setattr(checks, "libraries", lambda _: iter([torch]))
    answer = run("doctor")
    assert answer.code == 1
    row = next(line for line in answer.out.splitlines() if " torch " in line)
    assert row.startswith("missing")
    assert "make setup" in row


def test_a_machine_reads_the_same_as_json(run, well) -> None:
    found = json.loads(run("doctor", "--json").out)["checks"]
    assert [check["name"] for check in found] == [
        "python",
        "millstream",
        "working folder",
        "java",
        "chromium",
    ]
    assert set(found[0]) == {"name", "ok", "found", "remedy", "optional"}


def test_a_library_is_held_against_the_version_that_is_asked_for() -> None:
    version = metadata.version("numpy")
    assert checks.library("numpy", ">=1").ok
    assert checks.library("numpy", ">=1").found == version
    old = checks.library("numpy", ">=1000")
    assert (old.ok, old.found) == (False, f"{version}, expected >=1000")
    absent = checks.library(ABSENT, "")
    assert (absent.ok, absent.found) == (False, "not installed")


def test_the_libraries_are_those_that_the_distribution_asks_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = ["numpy>=1", f"{ABSENT}>=2", "never>=3; extra == 'dev'"]
    monkeypatch.setattr(metadata, "requires", lambda _: lines)
    monkeypatch.setattr(
        metadata, "version", lambda name, real=metadata.version: real(name.replace("mine", "numpy"))
    )
    assert [(c.name, c.ok) for c in checks.libraries("mine")] == [
        ("mine", True),
        ("numpy", True),
        (ABSENT, False),
    ]


def test_without_an_installation_the_remedy_is_to_install() -> None:
    assert list(checks.libraries(ABSENT)) == [Check(ABSENT, False, "not installed", checks.SETUP)]


def test_a_server_that_answers_is_well(run, well, server: str) -> None:
    answer = run("doctor", "--mlflow", server)
    assert answer.code == 0
    assert f"{server} answers" in answer.out


def test_a_server_that_does_not_answer_fails(run, well, server: str) -> None:
    answer = run("doctor", "--mlflow", f"{server}/elsewhere")
    assert answer.code == 1
    assert "does not answer" in answer.out
    assert "Start the MLflow server or correct the URI" in answer.out


def test_a_store_without_a_server_is_taken_as_it_is() -> None:
    assert checks.mlflow_server("sqlite:///mlflow.db").ok


def test_a_folder_that_is_not_there_cannot_be_written(tmp_path: Path) -> None:
    assert checks.writable(tmp_path).ok
    assert not checks.writable(tmp_path / "none").ok


def test_programs_that_are_not_on_the_path_are_optional(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    for check in (checks.java(), checks.chromium()):
        assert (check.ok, check.optional, check.found) == (False, True, "not found")
