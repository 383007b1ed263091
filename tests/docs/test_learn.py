"""The pages on learning and on who serves: their commands are run, their metrics are all."""

import json
import re
import shlex
import signal
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from learner.status import Mail, Status, Table
from millstream.cli import build_parser, main
from millstream.local_mlflow import free_port, local_mlflow
from millstream.monitor import Board
from millstream.monitor.learner_metrics import PREFIX, LearnerCollector
from pipelines.drivers.direct.journal import Plan
from pipelines.drivers.direct.readings import ReadingLog
from pipelines.steps.step import NO_CUT
from tests.docs.page import PAGES, commands, started
from tests.learner.runs import SMALL
from tests.learner.world import write_spec, write_window

LEARN, PROMOTE = PAGES / "learn.md", PAGES / "promote.md"
PORT = "9465"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What the pages take for granted: a spec, windows, and that a pipeline made them."""
    write_spec(tmp_path, SMALL).rename(tmp_path / "spec.toml")
    for index in range(2):
        write_window(tmp_path / "windows", index)
    ReadingLog(tmp_path / "windows.state" / "journal").note(Plan(1, (), NO_CUT, 0, None))
    return tmp_path


@contextmanager
def following(line: str, folder: Path, address: str) -> Iterator[None]:
    """With the learner running until it has learned a further window and afterwards."""
    write_window(folder / "windows", 2)
    process = started(line, folder)
    try:
        until = time.monotonic() + 200
        while f"{PREFIX}windows_learned 3.0" not in answered(f"{address}/metrics"):
            assert process.poll() is None and time.monotonic() < until
            time.sleep(0.3)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err


def answered(address: str) -> str:
    try:
        with urllib.request.urlopen(address, timeout=10) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""


@pytest.mark.slow
def test_every_command_of_the_pages_runs_and_does_what_it_says(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    port = str(free_port())
    said: dict[str, str] = {}
    with local_mlflow(folder / "mlflow") as uri:
        lines = [line.replace(PORT, port) for line in [*commands(LEARN), *commands(PROMOTE)]]
        curls = [line for line in lines if line.startswith("curl")]
        for line in (one for one in lines if one not in curls):
            typed = line.replace("URI", uri)
            if "--follow" in line:
                with following(typed, folder, f"http://127.0.0.1:{port}"):
                    said |= {curl: answered(curl.split()[-1]) for curl in curls}
                continue
            assert main(shlex.split(typed)[1:]) == 0, typed
            said[line] = capsys.readouterr().out
    assert_that_commands_did_what_they_say(said)


def assert_that_commands_did_what_they_say(said: dict[str, str]) -> None:
    def of(*words: str) -> str:
        return next(text for line, text in said.items() if all(word in line for word in words))

    assert json.loads(of("/healthz"))["well"]
    assert f"{PREFIX}freshness_seconds" in json.loads(of("/metrics.json"))
    assert "windows since, skipped: 1" in of("--skip-windows")
    assert "windows since, to be learned again: 1" in of("--keep-windows")
    assert "promoted 2, before it 1" in of("promote 2")
    assert "rolled back to 1" in of("rollback")
    assert "worse at night" in of("--history")
    assert "learned 3 windows; their digests, hashed again, give this lineage" in of("explain")


@pytest.mark.parametrize("page", [LEARN, PROMOTE])
def test_what_stands_on_the_page_can_be_typed(page: Path) -> None:
    parser = build_parser()
    found = [line for line in commands(page) if line.startswith("millstream")]
    assert len(found) >= 5
    for line in found:
        parser.parse_args(shlex.split(line)[1:])


def test_the_page_names_every_metric_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    board = Board[Status]()
    board.put(
        Status(
            learned_until_ms=1,
            loss=0.5,
            saved_at_s=1.0,
            tables={"table": Table(1, 1)},
            champion="1",
            mail=lambda: Mail(0, None),
        )
    )
    there = {
        family.name.removeprefix(PREFIX) + ("_total" if family.type == "counter" else "")
        for family in LearnerCollector(board).collect()
    }
    section = LEARN.read_text(encoding="utf-8").partition("## See it run")[2].partition("\n## ")[0]
    rows = [row.split("|")[1] for row in section.splitlines() if row.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`([a-z_]+)(?:\{[a-z]+\})?`", row)}
    assert named == there
