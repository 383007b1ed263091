"""The daemon as a whole on a CUDA device: it learns what it learns on the host, and resumes."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import models
from learner.journal import Journal
from learner.requests import example_request
from learner.scorer import Scorer
from learner.settings import LearnerSettings
from learner.trainer import Trainer
from tests.learner.runs import assert_same_state, learn, shop

pytestmark = [pytest.mark.cuda, pytest.mark.parametrize("name", models.names())]


class Killed(BaseException):
    """What ends a learner in the middle of its work."""


def settings_of(name: str, folder: Path) -> LearnerSettings:
    return replace(shop(folder, users=60), model=name)


def newest_version(settings: LearnerSettings) -> Scorer:
    *_, staged = sorted((settings.state / "versions").iterdir())
    return Scorer.load(staged / "model")


def test_a_learner_on_the_device_learns_what_one_on_the_host_learns(
    name: str, tmp_path: Path
) -> None:
    on_device = settings_of(name, tmp_path)
    on_host = replace(on_device, state=tmp_path / "host", device="cpu")
    torch.cuda.reset_peak_memory_stats()
    summary, calm = learn(on_device), learn(on_host)
    assert torch.cuda.max_memory_allocated() > 0
    assert (summary.windows, summary.samples) == (calm.windows, calm.samples)
    left, right = (
        [entry for entry, _ in Journal(one.state / "metrics.jsonl").since(0)]
        for one in (on_device, on_host)
    )
    assert [one.step for one in left] == [one.step for one in right]
    for one, other in zip(left, right, strict=True):
        assert one.metrics.keys() == other.metrics.keys()
        logloss = {name for name in one.metrics if name.endswith("normalised_entropy")}
        for metric in logloss:
            assert one.metrics[metric] == pytest.approx(other.metrics[metric], rel=0.01)
    scorers = [newest_version(one) for one in (on_device, on_host)]
    request = example_request(scorers[0].spec)
    answers = [scorer.score([request])[0] for scorer in scorers]
    for task, values in answers[0].items():
        assert values == pytest.approx(answers[1][task], abs=2e-3)


def test_a_learner_that_ends_in_the_middle_goes_on_as_one_that_never_did(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calm = settings_of(name, tmp_path)
    disturbed = replace(calm, state=tmp_path / "disturbed")
    learn(calm)
    train, calls = Trainer.train, 0

    def train_a_while(trainer: Trainer, *batch: object) -> object:
        nonlocal calls
        calls += 1
        if calls % 10 == 0:
            raise Killed
        return train(trainer, *batch)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "train", train_a_while)
        for _ in range(2):
            with pytest.raises(Killed):
                learn(disturbed)
    learn(disturbed)
    assert_same_state(calm, disturbed)
