"""Learners of the small shop, run in this process or in one that may be killed."""

from dataclasses import replace
from pathlib import Path

import torch

from learner.checkpoint import Checkpoints, Snapshot
from learner.daemon import run
from learner.settings import LearnerSettings, Summary
from tests.learner.world import write_spec, write_window

NOWHERE = "http://127.0.0.1:9"
"""Nothing listens there: what is not about MLflow needs none."""

SMALL = """
[learner]
batch_users = 8
optimiser = { dense_hold = 5, dense_average = 0.9 }
[learner.gate]
min_samples = 10
calibration = [0.0, 100.0]
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


def assert_same_state(left: LearnerSettings, right: LearnerSettings) -> None:
    """Weights, optimisers, random state, metrics, counters and journal are equal to the bit."""
    one, other = newest(left), newest(right)
    assert one.state == other.state
    assert one.parts.keys() == other.parts.keys()
    for name, part in one.parts.items():
        assert part.keys() == other.parts[name].keys()
        for key, tensor in part.items():
            assert torch.equal(tensor, other.parts[name][key]), f"{name}: {key}"
    journals = [(side.state / "metrics.jsonl").read_bytes() for side in (left, right)]
    assert journals[0] == journals[1]
