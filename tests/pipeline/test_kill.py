"""`kill -9` at random moments: the windows are those of an undisturbed run, to the byte."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from schemas.windows import WindowStore
from tests.pipeline.small_world import SPEC_TOML, small_world, write_json_lines
from tests.soak import share_of


def command() -> list[str]:
    """The pipeline as a user runs it, in short epochs."""
    paths = ["--source", "events", "--windows", "windows", "--state", "state"]
    size = ["--shards", "2", "--epoch-rows", "150", "--final"]
    return [sys.executable, "-m", "millstream", "pipeline", "--spec", "spec.toml", *paths, *size]


def prepare(folder: Path) -> None:
    folder.mkdir()
    (folder / "spec.toml").write_text(SPEC_TOML)
    write_json_lines(small_world(11, requests=250), folder / "events", files=4)


def run_killed(folder: Path, moment_s: float) -> bool:
    """Run and kill after a moment; whether it had ended by then."""
    process = subprocess.Popen(
        command(),
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        return process.wait(moment_s) == 0
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return False


def killed_run_equals_undisturbed(folder: Path, kills: int, seed: int) -> None:
    """Run once whole and once with kills at random moments of its working time."""
    prepare(folder / "whole")
    started = time.monotonic()
    assert run_killed(folder / "whole", 600)
    length_s = time.monotonic() - started
    prepare(folder / "killed")
    rng = random.Random(seed)
    for _ in range(kills):
        run_killed(folder / "killed", length_s * rng.uniform(0.3, 0.95))
    assert run_killed(folder / "killed", 600)
    whole, killed = (WindowStore(folder / name / "windows") for name in ("whole", "killed"))
    assert [one.digest for one in killed.windows()] == [one.digest for one in whole.windows()]
    assert len(whole.windows()) >= 12
    for manifest in killed.windows():
        assert killed.verify(manifest.window_start_ms) == []


def test_five_kills_change_nothing(tmp_path: Path) -> None:
    killed_run_equals_undisturbed(tmp_path, kills=5, seed=1)


@pytest.mark.soak
def test_twenty_kills_change_nothing(tmp_path: Path) -> None:
    killed_run_equals_undisturbed(tmp_path, kills=share_of(20), seed=2)
