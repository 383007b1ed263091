"""Learners of the small shop, run in this process or in one that may be killed."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from learner import state
from learner.checkpoint import Checkpoints, Snapshot
from learner.config import learner_config
from learner.daemon import run
from learner.settings import LearnerSettings, Summary
from learner.trainer import Identity, Trainer
from schemas.spec import load
from tests.learner.world import write_spec, write_window

NOWHERE = "http://127.0.0.1:9"
"""Nothing listens there: what is not about MLflow needs none."""

SMALL = """
[learner]
batch_users = 8
gate = { min_samples = 10, calibration = [0.0, 100.0] }
optimiser = { dense_hold = 5, dense_average = 0.9 }
"""
"""The gate lets small samples pass."""


def shop(folder: Path, windows: int = 4, users: int = 30, learner: str = SMALL) -> LearnerSettings:
    """Settings over freshly written windows."""
    for index in range(windows):
        write_window(folder / "windows", index, users)
    return LearnerSettings(
        spec=write_spec(folder, learner),
        windows=folder / "windows",
        state=folder / "state",
        mlflow=NOWHERE,
        model="dlrm_mlp",
        preset="tiny",
        checkpoint_every_batches=3,
        register_every_windows=2,
        poll_s=0.05,
        mlflow_patience_s=0.0,
    )


def learn(settings: LearnerSettings, **changes: object) -> Summary:
    """Run a learner in this process."""
    return run(replace(settings, **changes))  # type: ignore[arg-type]


def newest(settings: LearnerSettings) -> Snapshot:
    """The newest checkpoint."""
    found = Checkpoints(settings.state / "checkpoints").newest()
    assert found is not None
    return found


def restored(settings: LearnerSettings) -> Trainer:
    """A trainer as the newest checkpoint says."""
    spec = load(settings.spec)
    config = learner_config(spec, settings.model, str(settings.spec))
    identity = Identity.of(spec, settings.model, settings.preset, config)
    trainer = Trainer(spec, identity, torch.device("cpu"))
    state.restore(trainer, newest(settings))
    return trainer


def assert_same_state(left: LearnerSettings, right: LearnerSettings) -> None:
    """Weights, optimisers, random state, metrics, counters and journal are equal to the bit."""
    one, other = newest(left), newest(right)
    assert one.state == other.state
    assert one.parts.keys() == other.parts.keys()
    for name, part in one.parts.items():
        assert_same_tensors(part, other.parts[name])
    # The tables' rows, as which checkpoint ever wrote them.
    assert_same_tensors(restored(left).model.state_dict(), restored(right).model.state_dict())
    journals = [(side.state / "metrics.jsonl").read_bytes() for side in (left, right)]
    assert journals[0] == journals[1]


def assert_same_tensors(left: Mapping[str, Tensor], right: Mapping[str, Tensor]) -> None:
    """The same names, equal to the bit."""
    assert left.keys() == right.keys()
    for name, tensor in left.items():
        assert torch.equal(tensor, right[name]), name
