"""Killed at the worst moments, with a real MLflow server: the end is that of who never was."""

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import models
from learner import checkpoint, registry, staging
from learner.daemon import run
from learner.settings import LearnerSettings
from tests.learner.forks import FORKS
from tests.learner.runs import assert_same_state, shop
from tests.learner.told import told_mlflow

MOMENTS: dict[str, tuple[Any, str]] = {
    "a checkpoint is written and not committed": (checkpoint, "_commit"),
    "a version is half staged": (staging, "version_tags"),
    "a version is staged and its checkpoint not begun": (staging, "flush"),
    "artifacts are sent and the version not created": (registry, "_ensure_registered_model"),
    "the version is created and still staged": (registry.Staged, "discard"),
}
"""Before what a learner is killed: where that is, and its name."""


def learn_to(settings: LearnerSettings, moment: str | None) -> None:
    """Run a learner that kills itself at a moment."""
    torch.set_num_threads(1)
    if moment is not None:
        setattr(*MOMENTS[moment], deadly)
    run(settings)


def deadly(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def exit_code(target: Callable[..., None], *args: object) -> int | None:
    process = FORKS.Process(target=target, args=args)
    process.start()
    process.join()
    return process.exitcode


@pytest.mark.slow
@pytest.mark.parametrize("model", models.names())
def test_kills_at_the_worst_moments_change_nothing(
    tmp_path: Path, mlflow_uri: str, model: str
) -> None:
    settings = replace(
        shop(tmp_path, windows=2, users=16),
        model=model,
        mlflow=mlflow_uri,
        mlflow_patience_s=120.0,
        register_every_windows=1,
        checkpoint_every_batches=1,
        whole_checkpoint_every=2,
    )
    killed, calm = (
        replace(
            settings,
            state=tmp_path / kind,
            experiment=f"{kind}-{model}",
            registered_model=f"{kind}-{model}",
        )
        for kind in ("killed", "calm")
    )
    assert exit_code(learn_to, calm, None) == 0
    for moment in MOMENTS:
        assert exit_code(learn_to, killed, moment) == -signal.SIGKILL, moment
    assert exit_code(learn_to, killed, None) == 0
    assert_same_state(calm, killed)
    metrics, lineages = told_mlflow(mlflow_uri, f"killed-{model}")
    assert len(lineages) == len(set(lineages)) == 2
    assert any(name.startswith("2023-11-14/click/home") for name in metrics)
    assert (metrics, lineages) == told_mlflow(mlflow_uri, f"calm-{model}")
