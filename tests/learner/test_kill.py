"""kill -9 at any moment loses nothing: the end is the same to the bit."""

import multiprocessing
import random
import time
from dataclasses import replace
from pathlib import Path

import pytest

from learner.settings import LearnerSettings
from tests.learner.runs import assert_same_state, learn_single_threaded, shop

CONTEXT = multiprocessing.get_context("forkserver")


def run_for(settings: LearnerSettings, seconds: float | None) -> tuple[bool, float]:
    """Run a learner in a process, killed after some seconds; whether it ended, and its time."""
    process = CONTEXT.Process(target=learn_single_threaded, args=(settings,))
    begun = time.monotonic()
    process.start()
    process.join(seconds)
    if process.exitcode is None:
        process.kill()
        process.join()
    assert process.exitcode in (0, -9)
    return process.exitcode == 0, time.monotonic() - begun


def kill_and_resume(folder: Path, kills: int, windows: int) -> None:
    CONTEXT.set_forkserver_preload(["tests.learner.runs"])
    settings = shop(folder, windows=windows, users=60)
    settings = replace(settings, checkpoint_every_batches=2)
    calm = replace(settings, state=folder / "calm")
    run_for(calm, None)
    _, duration_s = run_for(replace(settings, state=folder / "timed"), None)
    chance = random.Random(7)
    for _ in range(kills):
        run_for(settings, chance.uniform(0.1, 0.8) * duration_s)
    ended, _ = run_for(settings, None)
    assert ended
    assert_same_state(calm, settings)


@pytest.mark.slow
def test_five_kills_leave_the_same_state_as_none(tmp_path: Path) -> None:
    kill_and_resume(tmp_path, kills=5, windows=4)


@pytest.mark.soak
def test_a_hundred_kills_leave_the_same_state_as_none(tmp_path: Path) -> None:
    kill_and_resume(tmp_path, kills=100, windows=60)
