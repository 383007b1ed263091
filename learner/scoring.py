"""The prequential pass over a window: every sample is scored before any is trained on.

Shape legend: N samples, K tasks.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from learner.baselines import ItemCtr
from learner.metrics import Scorecard, Scored, joined
from learner.metrics.scored import Floats, Ints
from learner.shadow import Champion, Shadow
from models.batch import UserBatch
from models.layout import Layout
from schemas.labels import ORIGINS

FOLD_SAMPLES = 200_000
"""Predictions are kept until there are so many, then folded into the sketches."""

Predict = Callable[[UserBatch], Tensor]
"""Logits [N, K] of a batch, on the host."""


@dataclass(frozen=True)
class Verdict:
    """What the scoring of a window found. Columns are scenarios unless a name says otherwise."""

    model: Scorecard
    by_domain: Scorecard
    by_origin: Scorecard
    baseline: Scorecard
    items: ItemCtr
    """The window's own counts, to be added to the baseline's."""
    unscored: int = 0
    """Predictions that were no number; they count in no metric."""
    shadow: Shadow | None = None
    """The champion on the same samples, if there is one."""

    @classmethod
    def empty(cls, layout: Layout) -> "Verdict":
        """Of no samples."""
        tasks = len(layout.tasks)
        blank = Scorecard.empty(tasks, len(layout.scenarios))
        return cls(
            blank,
            Scorecard.empty(tasks, len(layout.domains)),
            Scorecard.empty(tasks, len(ORIGINS)),
            blank,
            ItemCtr.empty(tasks),
        )

    def merge(self, other: "Verdict") -> "Verdict":
        """Of both sets of samples together; a shadow is that of the last champion alone."""
        return Verdict(
            self.model.merge(other.model),
            self.by_domain.merge(other.by_domain),
            self.by_origin.merge(other.by_origin),
            self.baseline.merge(other.baseline),
            self.items.merge(other.items),
            self.unscored + other.unscored,
            other.shadow if self.shadow is None else self.shadow.merge(other.shadow),
        )


@dataclass(frozen=True)
class _Predicted:
    batch: UserBatch
    logits: Floats
    champion: Floats
    """Of no rows if there is no champion."""


def judge(
    batches: Iterable[UserBatch],
    predict: Predict,
    baseline: ItemCtr,
    layout: Layout,
    champion: Champion | None = None,
    folded: Callable[[Scored], None] = lambda _: None,
) -> Verdict:
    """Score a window's batches with a model, the item baseline and the champion, as they stand.

    `folded` is given the model's samples, as many batches at a time as are folded together.
    """
    predicted = (_predicted(batch, predict, champion) for batch in batches)
    verdict = Verdict.empty(layout)
    for part in _folds(predicted):
        model = joined([_scored(one.batch, one.logits) for one in part])
        folded(model)
        found = _fold(part, model, baseline, layout)
        if champion is not None:
            found = replace(found, shadow=_shadow(part, model, found.model, champion, layout))
        verdict = verdict.merge(found)
    return verdict


def _predicted(batch: UserBatch, predict: Predict, champion: Champion | None) -> _Predicted:
    logits = _numpy(predict(batch))
    return _Predicted(batch, logits, _numpy(champion.predict(batch)) if champion else logits[:0])


def _folds(predicted: Iterator[_Predicted]) -> Iterator[list[_Predicted]]:
    held: list[_Predicted] = []
    for one in predicted:
        held.append(one)
        if sum(len(kept.logits) for kept in held) >= FOLD_SAMPLES:
            yield held
            held = []
    if held:
        yield held


def _fold(part: list[_Predicted], model: Scored, baseline: ItemCtr, layout: Layout) -> Verdict:
    blind = joined([_scored(one.batch, baseline.logits(_item(one.batch))) for one in part])
    finite = np.isfinite(np.concatenate([one.logits for one in part]))
    domain = np.concatenate([_of_sample(one.batch, one.batch.domain) for one in part])
    origin = np.concatenate([one.batch.origin.numpy() for one in part])
    tasks, scenarios = len(layout.tasks), len(layout.scenarios)
    return Verdict(
        model=Scorecard.of(model, tasks, scenarios),
        by_domain=Scorecard.of(replace(model, column=domain), tasks, len(layout.domains)),
        by_origin=Scorecard.of(replace(model, column=origin), tasks, len(ORIGINS)),
        baseline=Scorecard.of(blind, tasks, scenarios),
        items=ItemCtr.of(
            np.concatenate([_item(one.batch) for one in part]), blind.positive, blind.present
        ),
        unscored=int((blind.present & ~finite).sum()),
    )


def _shadow(
    part: list[_Predicted], model: Scored, card: Scorecard, champion: Champion, layout: Layout
) -> Shadow:
    """Both scorers on the cells that both have scored; `card` is the model's, of all of its own."""
    other = joined([_scored(one.batch, one.champion) for one in part])
    both = model.present & other.present
    size = len(layout.tasks), len(layout.scenarios)
    if not np.array_equal(both, model.present):
        card = Scorecard.of(replace(model, present=both), *size)
    return Shadow(
        champion.version,
        champion=Scorecard.of(replace(other, present=both), *size),
        model=card,
    )


def _scored(batch: UserBatch, logits_NK: Floats) -> Scored:
    return Scored(
        logits=logits_NK,
        positive=batch.labels.numpy() > 0,
        present=batch.label_present.numpy() & np.isfinite(logits_NK),
        column=_of_sample(batch, batch.scenario),
        request=batch.sample_request.numpy(),
        user=_of_sample(batch, batch.request_user),
        user_hash=batch.user.numpy(),
    )


def _of_sample(batch: UserBatch, of_request: Tensor) -> Ints:
    values: Ints = of_request[batch.sample_request].numpy()
    return values


def _item(batch: UserBatch) -> Ints:
    items: Ints = batch.item.numpy()
    return items


def _numpy(logits_NK: Tensor) -> Floats:
    values: Floats = logits_NK.detach().double().numpy()
    return values
