"""The learner as a process: windows in, checkpoints, metrics and versions out."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from mlflow.tracking import MlflowClient

from learner import state
from learner.checkpoint import Checkpoints
from learner.config import learner_config
from learner.cursor import Cursor
from learner.feed import Feed
from learner.journal import Entry, Journal
from learner.lock import locked
from learner.metrics import named
from learner.outbox import Outbox
from learner.plot import BASELINE
from learner.registry import stage
from learner.scoring import Verdict
from learner.stopping import stop_on_signals
from learner.tracking import RunSpec, Tracker
from learner.trainer import Identity, Trainer
from models.batch import UserBatch
from schemas.errors import UserError
from schemas.spec import Spec, load
from schemas.windows.manifest import Manifest
from schemas.windows.store import WindowStore

log = logging.getLogger(__name__)

FINAL = "_FINAL"
"""In the windows' root: no window will be sealed any more."""


@dataclass(frozen=True)
class LearnerSettings:
    """Where a learner reads, keeps its state and reports, and when it stops."""

    spec: Path
    windows: Path
    state: Path
    mlflow: str
    model: str
    preset: str = "demo"
    mode: Literal["once", "follow"] = "once"
    until_final: bool = False
    """With `follow`: stop once the windows' root holds `_FINAL` and all windows are consumed."""
    poll_s: float = 2.0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    checkpoint_every_batches: int = 200
    keep_checkpoints: int = 3
    register_every_windows: int = 12
    experiment: str | None = None
    """Default: the spec's name."""
    registered_model: str | None = None
    """Default: `<spec's name>-<model>`."""
    mlflow_patience_s: float = 60.0
    """How long the end waits for MLflow; what is left is sent by the next start."""


@dataclass(frozen=True)
class Summary:
    """What one run of the learner did."""

    windows: int
    batches: int
    samples: int
    lineage_id: str
    versions: tuple[str, ...]
    """Numbers of the versions registered."""
    unsent: int
    """Metric entries and versions that MLflow did not take; the next start sends them."""
    stopped: bool
    """Whether a signal ended it before its windows did."""


def run(settings: LearnerSettings) -> Summary:
    """Learn until there is nothing left, or until told to stop.

    Raises UserError for whatever a person can mend: spec, settings, state or windows.
    """
    with locked(settings.state), stop_on_signals() as stop:
        learner = Learner(settings, stop)
        with learner.reporting():
            learner.learn()
        return learner.summary()
