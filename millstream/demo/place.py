"""Where the demo works: one folder, from which a second run goes on."""

from dataclasses import dataclass
from pathlib import Path

from millstream import shipped
from schemas.errors import UserError

DATASET = "kuairand"
MODELS = ("mtfm", "dlrm_mlp")
"""The model of the demo and the plain one beside it."""


@dataclass(frozen=True)
class Place:
    """The demo's work folder."""

    root: Path

    @property
    def spec(self) -> Path:
        return shipped.spec_file(DATASET)

    @property
    def events(self) -> Path:
        return self.root / "events"

    @property
    def replayed(self) -> Path:
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
        return self.root / "mlflow"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    def learner_state(self, model: str) -> Path:
        """One learner's state."""
        return self.root / f"learner-{model}"


def shipped_data() -> Path:
    """The data that ships with the repository. Raises UserError outside a checkout."""
    folder = Path(shipped.__file__).resolve().parent.parent / "examples" / DATASET
    if not folder.is_dir():
        raise UserError(
            f"{folder}: expected the example data, received no such folder. It ships with the "
            "repository, not with the package: run the demo from a clone."
        )
    return folder
