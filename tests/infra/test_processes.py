"""Processes of ours: how they end, and what is said of those that do not."""

import signal
import sys
from pathlib import Path

import pytest

from infra.processes import Process
from schemas.errors import UserError


def python(folder: Path, program: str) -> Process:
    process = Process("a program", folder / "log")
    process.start([sys.executable, "-c", program])
    return process


def test_the_exit_code_is_that_of_who_ended_by_itself(tmp_path: Path) -> None:
    assert python(tmp_path, "raise SystemExit(3)").exit_code(60) == 3


def test_who_is_asked_may_end_as_it_likes(tmp_path: Path) -> None:
    waiting = "import signal; signal.signal(15, lambda *_: exit(7)); print('set', flush=True)"
    process = python(tmp_path, f"{waiting}; signal.pause()")
    process.wait_for(lambda: "set" in (tmp_path / "log").read_text(), "its log", 60)
    process.ask()
    assert process.exit_code(60) == 7
    other = python(tmp_path, "import signal; signal.pause()")
    other.ask()
    assert other.exit_code(60) == -signal.SIGTERM


def test_who_does_not_end_is_killed_and_named_with_the_end_of_its_log(tmp_path: Path) -> None:
    process = python(tmp_path, "import signal; print('busy', flush=True); signal.pause()")
    process.wait_for(lambda: "busy" in (tmp_path / "log").read_text(), "its log", 60)
    with pytest.raises(UserError, match=r"expected a program to end within 0 s.*ends: busy"):
        process.exit_code(0.1)
    assert not process.lives()
    with pytest.raises(UserError, match="received nobody"):
        process.exit_code(0.1)
