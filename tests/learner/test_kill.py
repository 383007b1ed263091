"""kill -9 at any moment loses nothing: the end is the same to the bit."""

import multiprocessing
import random
import time
from ctypes import c_longlong
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from learner.checkpoint import Checkpoints
from learner.daemon import run
from learner.settings import LearnerSettings
from learner.trainer import Trainer
from tests.learner.runs import assert_same_state, shop

CONTEXT = multiprocessing.get_context("forkserver")


def learn_counting(settings: LearnerSettings, calls: c_longlong) -> None:
    """Run a learner that counts the batches it scores and those it trains on."""
    torch.set_num_threads(1)
    score, train = Trainer.predict, Trainer.train

    def counted_score(trainer: Trainer, *batch: object) -> torch.Tensor:
        calls.value += 1
        return score(trainer, *batch)  # type: ignore[arg-type]

    def counted_train(trainer: Trainer, *batch: object) -> None:
        calls.value += 1
        train(trainer, *batch)  # type: ignore[arg-type]

    Trainer.predict, Trainer.train = counted_score, counted_train  # type: ignore[method-assign]
    run(settings)


def run_for(settings: LearnerSettings, most: int, delay_s: float = 0.0) -> tuple[int, bool]:
    """Run a learner in a process of its own, killed at its batch `most`.

    How many batches it scored or trained on, and whether it came to its end.
    """
    calls = CONTEXT.Value("q", 0, lock=False)  # who is killed may hold a lock for ever
    process = CONTEXT.Process(target=learn_counting, args=(settings, calls))
    process.start()
    while calls.value < most and process.exitcode is None:
        time.sleep(0.001)
    time.sleep(delay_s)
    process.kill()
    process.join()
    assert process.exitcode in (0, -9)
    return calls.value, process.exitcode == 0


def to_the_end(settings: LearnerSettings) -> int:
    """Run a learner undisturbed; how many batches it scored or trained on."""
    calls, ended = run_for(settings, most=1 << 62)
    assert ended
    return calls


def kill_and_resume(folder: Path, kills: int, windows: int) -> None:
    CONTEXT.set_forkserver_preload(["torch._dynamo", "tests.learner.runs"])
    settings = shop(folder, windows=windows, users=60)
    settings = replace(settings, checkpoint_every_batches=2)
    calm = replace(settings, state=folder / "calm")
    whole = to_the_end(calm)
    chance = random.Random(7)
    resumed = 0
    for _ in range(kills):
        most = chance.randint(1, max(2 * whole // (kills + 1), 8))
        run_for(settings, most, chance.uniform(0.0, 0.02))
        resumed += Checkpoints(settings.state / "checkpoints").newest() is not None
    assert resumed > kills // 2
    assert to_the_end(settings) < whole
    assert_same_state(calm, settings)


@pytest.mark.slow
def test_five_kills_leave_the_same_state_as_none(tmp_path: Path) -> None:
    kill_and_resume(tmp_path, kills=5, windows=4)


@pytest.mark.soak
def test_a_hundred_kills_leave_the_same_state_as_none(tmp_path: Path) -> None:
    kill_and_resume(tmp_path, kills=100, windows=60)
