"""The prequential pass over a window: every sample is scored before any is trained on.

Shape legend: N samples, K tasks.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from learner.baselines import ItemCtr
from learner.metrics import Scorecard, Scored, joined
from learner.metrics.scored import Floats
from models.batch import UserBatch
from models.layout import Layout

FOLD_SAMPLES = 200_000
"""Predictions are kept until there are so many, then folded into the sketches."""


@dataclass(frozen=True)
class Verdict:
    """What the scoring of a window found."""

    model: Scorecard
    baseline: Scorecard
    items: ItemCtr
    """The window's own counts, to be added to the baseline's."""
    unscored: int = 0
    """Predictions that were no number; they count in no metric."""

    @classmethod
    def empty(cls, layout: Layout) -> "Verdict":
        """Of no samples."""
        blank = Scorecard.empty(len(layout.tasks), len(layout.scenarios))
        return cls(blank, blank, ItemCtr.empty(len(layout.tasks)))

    def merge(self, other: "Verdict") -> "Verdict":
        """Of both sets of samples together."""
        return Verdict(
            self.model.merge(other.model),
            self.baseline.merge(other.baseline),
            self.items.merge(other.items),
            self.unscored + other.unscored,
        )


@dataclass(frozen=True)
class _Predicted:
    batch: UserBatch
    logits: Floats


def judge(
    batches: Iterable[UserBatch],
    predict: Callable[[UserBatch], Tensor],
    baseline: ItemCtr,
    layout: Layout,
) -> Verdict:
    """Score a window's batches with a model and with the item baseline, as both stand now."""
    predicted = (_Predicted(batch, _numpy(predict(batch))) for batch in batches)
    verdict = Verdict.empty(layout)
    for part in _folds(predicted):
        verdict = verdict.merge(_fold(part, baseline, layout))
    return verdict


def _folds(predicted: Iterator[_Predicted]) -> Iterator[list[_Predicted]]:
    held: list[_Predicted] = []
    for one in predicted:
        held.append(one)
        if sum(len(kept.logits) for kept in held) >= FOLD_SAMPLES:
            yield held
            held = []
    if held:
        yield held


def _fold(part: list[_Predicted], baseline: ItemCtr, layout: Layout) -> Verdict:
    item = np.concatenate([one.batch.item.cpu().numpy() for one in part])
    model = joined([_scored(one.batch, one.logits) for one in part])
    blind = joined([_scored(one.batch, baseline.logits(_item(one.batch))) for one in part])
    finite = np.isfinite(np.concatenate([one.logits for one in part]))
    size = len(layout.tasks), len(layout.scenarios)
    return Verdict(
        model=Scorecard.of(model, *size),
        baseline=Scorecard.of(blind, *size),
        items=ItemCtr.of(item, blind.positive, blind.present),
        unscored=int((blind.present & ~finite).sum()),
    )


def _scored(batch: UserBatch, logits_NK: Floats) -> Scored:
    request_N = batch.sample_request
    return Scored(
        logits=logits_NK,
        positive=batch.labels.cpu().numpy() > 0,
        present=batch.label_present.cpu().numpy() & np.isfinite(logits_NK),
        scenario=batch.scenario[request_N].cpu().numpy(),
        request=request_N.cpu().numpy(),
        user=batch.request_user[request_N].cpu().numpy(),
    )


def _item(batch: UserBatch) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    items: np.ndarray[tuple[int], np.dtype[np.int64]] = batch.item.cpu().numpy()
    return items


def _numpy(logits_NK: Tensor) -> Floats:
    values: Floats = logits_NK.detach().double().cpu().numpy()
    return values
