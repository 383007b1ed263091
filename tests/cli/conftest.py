"""Running the command line as a person would, in this process or in one of its own."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from millstream.cli import main

ROOT = Path(__file__).parents[2]
SMALLEST = """
name = "smallest"
window = { length = "1h", maturity = "10m" }
streams.exposure.kind = "exposure"
streams.click.kind = "click"
domains.feed.scenarios = ["home", "detail"]
tasks.click = { stream = "click", horizon = "30m" }
features.color = { owner = "item", type = "id" }
sequences = { streams = ["click"], history = 3, recent = 2 }
"""


@dataclass(frozen=True)
class Answer:
    """What a command left behind."""

    code: int
    out: str
    err: str


Run = Callable[..., Answer]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run one command in this process."""

    def run_here(*words: str | Path) -> Answer:
        code = main([str(word) for word in words])
        captured = capsys.readouterr()
        return Answer(code, captured.out, captured.err)

    return run_here


@pytest.fixture(scope="session")
def run_apart() -> Run:
    """Run Python with these words in a process of its own."""

    def run_there(*words: str | Path) -> Answer:
        command = [sys.executable, *map(str, words)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
        return Answer(done.returncode, done.stdout, done.stderr)

    return run_there


@pytest.fixture
def smallest(tmp_path: Path) -> Path:
    """A spec file with no more than a spec needs."""
    file = tmp_path / "smallest.toml"
    file.write_text(SMALLEST, encoding="utf-8")
    return file
