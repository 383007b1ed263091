"""The champion in shadow: it scores the samples that the model scores, and both are compared.

Shape legend: N samples, K tasks, S columns.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from learner.metrics import Scorecard
from learner.metrics.resampled import half_width
from learner.metrics.scored import Floats
from learner.scorer import Scorer
from models.batch import Actions, UserBatch
from models.layout import Layout
from schemas.errors import UserError

COMPARED = ("gauc", "normalised_entropy", "calibration")


@dataclass(frozen=True)
class Shadow:
    """Scorecards of a champion and of the model, of the same samples."""

    version: str
    champion: Scorecard
    model: Scorecard

    def merge(self, other: "Shadow | None") -> "Shadow":
        """Of both sets of samples; if the champion has changed, the later one's alone."""
        if other is None:
            return self
        if other.version != self.version:
            return other
        return replace(
            self,
            champion=self.champion.merge(other.champion),
            model=self.model.merge(other.model),
        )

    def differences(self) -> dict[str, tuple[Floats, Floats]]:
        """Metric → model less champion, and half the width of its 95% interval, [K, S + 1] each."""
        ours, theirs = self.model.results(), self.champion.results()
        resampled, against = self.model.resampled.metrics(), self.champion.resampled.metrics()
        return {
            name: (ours[name] - theirs[name], half_width(resampled[name] - against[name]))
            for name in COMPARED
        }

    def results(self) -> dict[str, Floats]:
        """The champion's own metrics, and `<metric>_difference` with its `_ci95`, [K, S + 1]."""
        values = self.champion.results()
        for name, (difference, width) in self.differences().items():
            values[f"{name}_difference"] = difference
            values[f"{name}_difference_ci95"] = width
        return values


@dataclass(frozen=True)
class Champion:
    """A registered version as a scorer of this learner's batches.

    Its spec may be an older one: scenarios and tasks that it does not know are not scored.
    """

    version: str
    scorer: Scorer
    layout: Layout
    """The learner's."""

    def __post_init__(self) -> None:
        """Raises UserError if the version reads features that the learner's windows lack."""
        for part in ("request", "candidate", "action"):
            known = {field.name: field.type for field in getattr(self.layout, part)}
            for field in getattr(self.scorer.layout, part):
                if known.get(field.name) != field.type:
                    raise UserError(
                        f"champion, version {self.version}: expected features that the spec "
                        f"declares, received one that reads {field.name!r} of type "
                        f"{field.type!r}. It is not scored in shadow: move the alias `champion` "
                        "to a version of this spec."
                    )

    def predict(self, batch: UserBatch) -> Tensor:
        """Logits [N, K] under the learner's layout, on the host; NaN where it has no answer."""
        if self.scorer.layout == self.layout:
            return self._scored(batch)
        return self._translated(batch)

    def _scored(self, batch: UserBatch) -> Tensor:
        with torch.no_grad():
            logits: Tensor = self.scorer.model(batch)
        return logits.cpu()

    def _translated(self, batch: UserBatch) -> Tensor:
        own, theirs = self.layout, self.scorer.layout
        scenario = _places(batch.scenario, own.scenarios, theirs.scenarios)
        domains = own.domains, theirs.domains
        asked = replace(
            batch,
            scenario=scenario.clamp(min=0),
            domain=_places(batch.domain, *domains).clamp(min=0),
            origin_domain=_places(batch.origin_domain, *domains).clamp(min=0),
            history=_actions(batch.history, own, theirs),
            recent=_actions(batch.recent, own, theirs),
        )
        known_NK = self._scored(asked)
        logits_NK = known_NK.new_full((batch.n_samples, len(own.tasks)), np.nan)
        for task, name in enumerate(own.tasks):
            if name in theirs.tasks:
                logits_NK[:, task] = known_NK[:, theirs.tasks.index(name)]
        logits_NK[scenario[batch.sample_request] < 0] = np.nan
        return logits_NK


def _places(index: Tensor, own: tuple[str, ...], theirs: tuple[str, ...]) -> Tensor:
    """Indices of names in the other layout, -1 where it has none; -1 stays -1."""
    places = [*(theirs.index(name) if name in theirs else -1 for name in own), -1]
    return torch.tensor(places)[index]


def _actions(actions: Actions, own: Layout, theirs: Layout) -> Actions:
    """The actions that the other layout knows, under its numbers."""
    action = _places(actions.action, own.actions, theirs.actions)
    scenario = _places(actions.scenario, own.scenarios, theirs.scenarios)
    return replace(actions, action=action, scenario=scenario).where(action >= 0)
