"""The delay-aware metrics: a window's predictions judged again once its labels are closed.

Shape legend: N samples, K tasks that are due, S scenarios.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np

from learner.checkpoint import Checkpoints
from learner.closing import Closing
from learner.journal import Entry
from learner.metrics import Scorecard, Scored, named
from learner.metrics.scored import Floats, Ints
from learner.metrics.sketch import ratio, with_total
from learner.predictions import Predictions, Revised
from learner.progress import Progress
from models.layout import Layout
from schemas.spec import Spec
from schemas.windows.manifest import Manifest

SETTLED = "settled"


@dataclass(frozen=True)
class Settled:
    """How a window's predictions compare with its closed labels."""

    card: Scorecard
    changed: Ints
    """int64 [K, S], labels that are not what they were at the window's cut."""

    def results(self) -> dict[str, Floats]:
        """The scorecard's, and `label_share_changed`: of the labels; [K, S + 1] each."""
        values = self.card.results()
        return values | {"label_share_changed": ratio(with_total(self.changed), values["samples"])}


def judge_again(
    folds: Iterable[Scored], revised: Revised, tasks: Sequence[int], scenarios: int
) -> Settled:
    """Judge predictions by the labels as the revisions leave them; the latest one wins."""
    size = len(tasks), scenarios
    card, changed, first = Scorecard.empty(*size), np.zeros(size, dtype=np.int64), 0
    for scored in folds:
        now = _revise(scored, revised, first)
        differs = scored.present & (now.positive != scored.positive)
        columns = (now.column[differs[:, task]] for task in tasks)
        changed += np.stack([np.bincount(one, minlength=scenarios) for one in columns])
        card = card.merge(Scorecard.of(_of_tasks(now, tasks), *size))
        first += scored.n_samples
    return Settled(card, changed)


def _revise(scored: Scored, revised: Revised, first: int) -> Scored:
    """A fold that begins at sample `first`, with its labels as they are now."""
    inside = (revised.sample >= first) & (revised.sample < first + scored.n_samples)
    cell = (revised.sample[inside] - first) * scored.positive.shape[1] + revised.task[inside]
    # Of a cell's revisions the latest: the first one from behind.
    cells, latest = np.unique(cell[::-1], return_index=True)
    positive = scored.positive.copy()
    positive.ravel()[cells] = revised.positive[inside][::-1][latest]
    return replace(scored, positive=positive & scored.present)


def _of_tasks(scored: Scored, tasks: Sequence[int]) -> Scored:
    of_tasks = {name: getattr(scored, name)[:, tasks] for name in ("logits", "positive", "present")}
    return replace(scored, **of_tasks)


@dataclass(frozen=True)
class Settling:
    """Keeps predictions while their labels are open, and judges them again as these close.

    What is due at a window follows from the windows consumed alone, so that a learner that goes
    on from a checkpoint writes the same entries again. A rewind may go back further than
    predictions are kept: what lacks them was judged before, and is not judged again.
    """

    closing: Closing
    layout: Layout
    predictions: Predictions

    @classmethod
    def of(cls, spec: Spec, folder: Path) -> Self:
        """Of a spec's windows, with predictions in a folder."""
        layout = Layout.of(spec)
        return cls(Closing(spec), layout, Predictions(folder, layout.tasks))

    @property
    def needed(self) -> bool:
        """Whether labels can be open at their window's cut; else its metrics are final at once."""
        return bool(self.closing.open_tasks)

    def settled(self, manifest: Manifest, progress: Progress) -> list[Entry]:
        """The entries of all that closed by a window's cut, after the one of the window before."""
        if progress.last is None:
            return []
        window = self.closing.spec.window
        before_ms = window.cut(progress.last.start_ms)
        consumed = (*progress.consumed, manifest.window_start_ms)
        due = self.closing.due(progress.consumed, before_ms, manifest.cut_ms)
        entries = (self._entry(consumed, place, tasks) for place, tasks in due)
        return [entry for entry in entries if entry.metrics]

    def forget(self, checkpoints: Checkpoints) -> None:
        """Remove what was settled already when the oldest checkpoint was taken."""
        oldest = checkpoints.oldest()
        if oldest is None:
            return
        progress = Progress.from_json(oldest["progress"])
        scored = progress.current or progress.last
        if scored is not None:
            cut_ms = self.closing.spec.window.cut(scored.start_ms)
            self.predictions.forget(lambda start: self.closing.all_closed_ms(start) <= cut_ms)

    def _entry(self, consumed: Sequence[int], place: int, tasks: Sequence[str]) -> Entry:
        start_ms = consumed[place]
        step = self.predictions.step(start_ms)
        found = judge_again(
            self.predictions.scored(start_ms),
            self.predictions.revised(start_ms, consumed[place + 1 :]),
            [self.layout.tasks.index(task) for task in tasks],
            len(self.layout.scenarios),
        )
        values = named(found.results(), tasks, self.layout.scenarios)
        end_ms = start_ms + self.closing.spec.window.length_ms
        return Entry(step or 0, start_ms, end_ms, {f"{SETTLED}/{n}": v for n, v in values.items()})
