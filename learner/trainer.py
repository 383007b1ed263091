"""One model under training, with all state that a checkpoint must hold."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor

from learner.baselines import ItemCtr
from learner.config import LearnerConfig, model_settings
from learner.cursor import Cursor
from learner.lineage import initial_lineage
from learner.metrics import ALL, Scored
from learner.progress import Progress, Training
from learner.scoring import Verdict, judge
from learner.shadow import Champion
from learner.step import Step
from models import create
from models.base import HeatMap
from models.batch import UserBatch
from models.layout import Layout
from models.optimisers import Optimisers
from models.tables import tables_in
from schemas.errors import UserError
from schemas.spec import Spec, spec_digest
from schemas.windows.manifest import Manifest


@dataclass(frozen=True)
class Identity:
    """What a state was made by: another one's checkpoints cannot be continued."""

    model: str
    preset: str
    overrides: Mapping[str, Any]
    """Values of the model's configuration that differ from the preset."""
    learner: LearnerConfig
    spec_digest: str

    @classmethod
    def of(cls, spec: Spec, model: str, preset: str, learner: LearnerConfig) -> "Identity":
        """The identity that follows from a spec."""
        overrides = model_settings(spec, model).overrides
        return cls(model, preset, overrides, learner, spec_digest(spec))

    def to_json(self) -> dict[str, Any]:
        """As a JSON object; tuples become lists, as they do in a file."""
        values = asdict(self)
        values["learner"]["task_weights"] = list(self.learner.task_weights)
        return values


class Trainer:
    """Scores windows, trains on their batches and keeps count.

    Args:
        spec: the stream spec.
        identity: model and configuration.
        device: where the model lives.
    """

    def __init__(self, spec: Spec, identity: Identity, device: torch.device) -> None:
        self.layout = Layout.of(spec)
        _refuse_reserved(self.layout)
        self.identity = identity
        self.device = device
        seed = identity.learner.seed
        torch.manual_seed(seed)
        model = create(
            identity.model, self.layout, identity.preset, dict(identity.overrides), seed=seed
        )
        self.model = model.to(device)
        self.tables = tables_in(self.model)
        self._refused = self._refusals()
        self.optimisers = Optimisers(self.model, identity.learner.optimiser)
        learner = identity.learner
        self.step = Step(self.model, self.optimisers, learner.task_weights, learner.precision)
        self.progress = Progress(initial_lineage(identity.to_json()))
        self.since_version = Verdict.empty(self.layout)
        """Verdicts merged since the last version; its items are those of all windows so far."""

    @property
    def refused(self) -> dict[str, int]:
        """Look-ups of the window in progress that found no row, by table; full tables alone."""
        counts = {name: n - self._refused[name] for name, n in self._refusals().items()}
        return {name: count for name, count in counts.items() if count}

    def _refusals(self) -> dict[str, int]:
        return {name: one.counts.get("refused", 0) for name, one in self.tables.items()}

    @property
    def dense_names(self) -> tuple[str, ...]:
        """Names of the parameters that are in no table, in the dense optimiser's order."""
        owned = tuple(f"{name}." for name in self.tables)
        return tuple(n for n, _ in self.model.named_parameters() if not n.startswith(owned))

    @property
    def items(self) -> ItemCtr:
        """The item baseline as it stands: counted over all windows scored so far."""
        return self.since_version.items

    def score(
        self,
        batches: Iterable[UserBatch],
        champion: Champion | None = None,
        folded: Callable[[Scored], None] = lambda _: None,
    ) -> Verdict:
        """Score a window's samples with the weights as they are; changes nothing."""
        return judge(batches, self.predict, self.items, self.layout, champion, folded)

    def predict(self, batch: UserBatch) -> Tensor:
        """Logits [N, K], on the host."""
        self.model.eval()
        with torch.no_grad(), self.optimisers.average.in_place():
            logits: Tensor = self.model(batch)
        return logits.cpu()

    def heat_maps(self, batch: UserBatch) -> tuple[HeatMap, ...]:
        """Where the model's tokens look, with the weights that serve."""
        self.model.eval()
        with torch.no_grad(), self.optimisers.average.in_place():
            return self.model.heat_maps(batch)

    def dense_state(self) -> dict[str, Tensor]:
        """All of the model that is in no table, by name; not copied."""
        owned = tuple(f"{name}." for name in self.tables)
        state = self.model.state_dict()
        return {name: one for name, one in state.items() if not name.startswith(owned)}

    def begin(self, manifest: Manifest, verdict: Verdict) -> None:
        """A window was scored; from here on it is trained on. Rows are a window older."""
        for table in self.tables.values():
            table.tick()
        self._refused = self._refusals()
        self.since_version = self.since_version.merge(verdict)
        self.progress = self.progress.begin(manifest)

    def train(self, cursor: Cursor, batch: UserBatch) -> float | None:
        """Train on one batch, after which the cursor is where it says; its loss if it had one.

        Raises UserError when more batches than the spec allows had to be skipped.
        """
        loss = self.step(batch) if batch.n_samples else 0.0
        self.progress = self.progress.advance(cursor, _counted(self.progress, batch, loss))
        if self.progress.bad_batches > self.identity.learner.max_bad_batches:
            raise UserError(
                f"{self.identity.model}: expected losses and gradients that are numbers, received "
                f"{self.progress.bad_batches} batches without (the last one ends at record "
                f"{cursor.records} of window {cursor.window_start_ms}). The last checkpoint is "
                "untouched: lower the rates under [learner.optimiser], or look for extreme "
                "feature values in that window."
            )
        return loss

    def finish(self) -> None:
        """The window in progress was trained on completely."""
        self.progress = self.progress.finish()

    def begin_version(self) -> None:
        """A version was registered: the metrics that describe the next one start from here."""
        items = self.items
        self.since_version = replace(Verdict.empty(self.layout), items=items)
        self.progress = replace(self.progress, since_version=0, version=self.progress.lineage)


def _counted(progress: Progress, batch: UserBatch, loss: float | None) -> Training:
    before = progress.training
    return Training(
        batches=before.batches + (loss is not None),
        bad_batches=before.bad_batches + (loss is None),
        samples=before.samples + batch.n_samples,
        loss=before.loss + (loss or 0.0),
    )


def _refuse_reserved(layout: Layout) -> None:
    if ALL in layout.scenarios:
        raise UserError(
            f"scenarios: expected no scenario named {ALL!r}, for metrics of all scenarios together "
            "have that name, received one. Rename the scenario in the spec."
        )
