"""What a learner is told when it starts, and what it says when it ends."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from learner.warm_start import WarmStart


@dataclass(frozen=True)
class LearnerSettings:
    """Where a learner reads, keeps its state and reports, and when it stops."""

    spec: Path
    """The stream spec, a TOML file."""
    windows: Path
    """Root of the window store."""
    state: Path
    """The learner's own folder; made if absent."""
    mlflow: str
    """Address of the MLflow tracking server."""
    model: str
    preset: str = "demo"
    from_checkpoint: Path | None = None
    """Where a state that is new begins: another one's folder, or one of its checkpoints."""
    mode: Literal["once", "follow"] = "once"
    until_final: bool = False
    """With `follow`: stop once the windows' root holds `_FINAL` and all windows are consumed."""
    poll_s: float = 1.0
    gap_wait_s: float = 0.0
    """With `follow`: how long a window waits for one from before it that is not there."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    checkpoint_every_batches: int = 200
    """Also at every registered version and at the end."""
    keep_checkpoints: int = 3
    whole_checkpoint_every: int = 20
    """Checkpoints whose changed rows may make up a table until all its rows are written anew."""
    keep_versions: int = 50
    """In the registry, beside those with an alias."""
    register_every_windows: int = 12
    """Also at the end, if a window was learned since."""
    register_every_samples: int | None = None
    """Or sooner, after so many labelled samples of the gate's main task."""
    register_when_better: bool = False
    """Or sooner, when the gate would let the version pass beside a champion."""
    experiment: str | None = None
    """Default: the spec's name."""
    registered_model: str | None = None
    """Default: `<spec's name>-<model>`."""
    champion_s: float = 5.0
    """Seconds between two looks at who is champion."""
    mlflow_patience_s: float = 60.0
    """How long the end waits for MLflow; what is left is sent by the next start."""


@dataclass(frozen=True)
class Summary:
    """What one run of the learner did."""

    windows: int
    """Consumed in this run."""
    samples: int
    """Trained on in this run."""
    lineage_id: str
    run_id: str | None
    """The MLflow run; None if the server never answered."""
    registered_model: str
    versions: tuple[str, ...]
    """Numbers of the versions registered in this run."""
    unsent: int
    """Metric entries and versions that MLflow did not take; the next start sends them."""
    stopped: bool
    """Whether a signal ended it."""
    warm_start: WarmStart | None
    """Where a new state began, if not anew."""
