"""kill -9 at any moment loses nothing: the end is the same to the bit."""

import random
import time
from collections.abc import Mapping
from ctypes import c_longlong
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import models
from learner import tensors
from learner.checkpoint import COMMIT, Checkpoints
from learner.daemon import run
from learner.journal import Journal
from learner.settings import LearnerSettings
from learner.trainer import Trainer
from tests.learner.forks import FORKS
from tests.learner.runs import SMALL, assert_same_state, shop
from tests.soak import share_of

CROWDED = SMALL + "".join(
    f"[models.{name}]\ntables = {{ rows = 50, admit_after = 2, expire_after = 1 }}\n"
    for name in ("dlrm_mlp", "mtfm")
)
"""Tables in which ids come, wait, go and take each other's rows."""


def learn_counting(settings: LearnerSettings, calls: c_longlong) -> None:
    """Run a learner that counts the batches it scores and those it trains on.

    It takes its time over them, as over batches of a real size, so that checkpoints come between.
    """
    torch.set_num_threads(1)
    score, train = Trainer.predict, Trainer.train

    def counted_score(trainer: Trainer, *batch: object) -> torch.Tensor:
        calls.value += 1
        return score(trainer, *batch)  # type: ignore[arg-type]

    def counted_train(trainer: Trainer, *batch: object) -> None:
        calls.value += 1
        train(trainer, *batch)  # type: ignore[arg-type]
        time.sleep(0.05)

    Trainer.predict, Trainer.train = counted_score, counted_train  # type: ignore[method-assign]
    run(settings)


def run_for(settings: LearnerSettings, most: int, delay_s: float = 0.0) -> tuple[int, bool]:
    """Run a learner in a process of its own, killed at its batch `most`.

    How many batches it scored or trained on, and whether it came to its end.
    """
    calls = FORKS.Value("q", 0, lock=False)  # who is killed may hold a lock for ever
    process = FORKS.Process(target=learn_counting, args=(settings, calls))
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


def kill_and_resume(folder: Path, kills: int, windows: int, model: str = "dlrm_mlp") -> None:
    settings = shop(folder, windows=windows, users=60, learner=CROWDED)
    settings = replace(settings, model=model, checkpoint_every_batches=2, whole_checkpoint_every=3)
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
    # Windows were judged again, by revisions that each restart found its samples for.
    entries = [entry for entry, _ in Journal(settings.state / "metrics.jsonl").since(0)]
    settled = [one.step for one in entries if "settled/click/all/auc" in one.metrics]
    assert settled == list(range(windows - 1))
    scored = [one.metrics for one in entries if "window/revisions" in one.metrics]
    assert all(one["window/revisions"] > 0 for one in scored[1:])
    assert not any(one["window/revisions_unmatched"] for one in scored)


def run_until_writing(settings: LearnerSettings, kind: str) -> bool:
    """Run a learner, killed while it writes a checkpoint, or all rows; whether it came to that."""
    process = FORKS.Process(target=learn_writing_slowly, args=(settings,))
    process.start()
    folder = settings.state / "checkpoints"
    before = {path.name for path in folder.glob("*")}
    caught = False
    while not caught and process.exitcode is None:
        time.sleep(0.001)
        new = [path for path in folder.glob(kind) if path.name not in before]
        caught = any(not (path / COMMIT).exists() for path in new)
    process.kill()
    process.join()
    return caught


def learn_writing_slowly(settings: LearnerSettings) -> None:
    """Run a learner that pauses after every file of a checkpoint."""
    torch.set_num_threads(1)
    save = tensors.save

    def paused(path: Path, part: Mapping[str, torch.Tensor]) -> None:
        save(path, part)
        time.sleep(0.02)

    tensors.save = paused
    run(settings)


BRIEFLY = ("dlrm_mlp", "mtfm")
"""Models that are killed so in every run of the tests, and not only in the long one."""


@pytest.mark.slow
@pytest.mark.parametrize(
    "model",
    [
        *BRIEFLY,
        *(pytest.param(m, marks=pytest.mark.soak) for m in models.names() if m not in BRIEFLY),
    ],
)
def test_kills_while_a_checkpoint_is_written_leave_the_same_state_as_none(
    tmp_path: Path, model: str
) -> None:
    settings = shop(tmp_path, windows=3, users=60, learner=CROWDED)
    settings = replace(settings, model=model, checkpoint_every_batches=2, whole_checkpoint_every=1)
    calm = replace(settings, state=tmp_path / "calm")
    to_the_end(calm)
    caught = [run_until_writing(settings, kind) for kind in ("*[0-9]", "*-rows") * 3]
    assert sum(caught) >= 4
    to_the_end(settings)
    assert_same_state(calm, settings)
    folders = {path.name for path in (settings.state / "checkpoints").glob("[0-9]*")}
    assert all((settings.state / "checkpoints" / name / COMMIT).exists() for name in folders)


@pytest.mark.slow
def test_five_kills_leave_the_same_state_as_none(tmp_path: Path) -> None:
    kill_and_resume(tmp_path, kills=5, windows=4)


@pytest.mark.soak
@pytest.mark.parametrize("model", models.names())
def test_a_hundred_kills_leave_the_same_state_as_none(tmp_path: Path, model: str) -> None:
    kills, windows = share_of(100, least=5), share_of(60, least=4)
    kill_and_resume(tmp_path, kills=kills, windows=windows, model=model)
