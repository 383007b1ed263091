"""Where the demo works: one folder, from which a second run goes on."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from schemas.errors import UserError

MODEL = "mtfm"
BASELINE = "dlrm_mlp"
MODELS = (MODEL, BASELINE)
"""The model of the demo, where none is named, and the plain one beside it."""


@dataclass(frozen=True)
class Place:
    """The demo's work folder, and the spec that all in it is made by."""

    root: Path
    spec: Path
    models: tuple[str, ...] = MODELS
    """Whose learners run, the one that is shown first."""

    @property
    def events(self) -> Path:
        return self.root / "events"

    @property
    def data(self) -> Path:
        """Names what the folder is for."""
        return self.root / "data"

    @property
    def written(self) -> Path:
        """Stands once the events are complete."""
        return self.root / "events.complete"

    @property
    def windows(self) -> Path:
        return self.root / "windows"

    @property
    def pipeline_state(self) -> Path:
        return self.root / "pipeline"

    @property
    def mlflow(self) -> Path:
        return mlflow_of(self.root)

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def plots(self) -> Path:
        return self.root / "report"

    def learner_state(self, model: str) -> Path:
        """One learner's state."""
        return self.root / f"learner-{model}"

    def claim(self, name: str) -> None:
        """Make the folder that of the data set `name`. Raises UserError if it is another one's."""
        self.root.mkdir(parents=True, exist_ok=True)
        if not self.data.exists():
            self.data.write_text(name)
        found = self.data.read_text()
        if found != name:
            raise UserError(
                f"{self.root}: expected an empty folder or one where the demo of {name} worked, "
                f"received one where that of {found} did. Name another one with --work, or remove "
                "it to begin anew."
            )


def with_baseline(models: Sequence[str]) -> tuple[str, ...]:
    """These models, each once, and the plain one beside them."""
    return tuple(dict.fromkeys((*models, BASELINE)))


def mlflow_of(root: Path) -> Path:
    """Where the local MLflow of a work folder lives."""
    return root / "mlflow"
