"""How well the demo's scorers did, out of the learners' journals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from learner.journal import Entry, Journal
from millstream.demo.place import Place

RESAMPLES = 2000
BASELINE = "baseline_item_ctr"

Scores = Mapping[int, tuple[float, float]]
"""By window: a metric and how many samples it is of."""


@dataclass(frozen=True)
class Scorer:
    """A model, or the baseline that the first model's learner scores beside it."""

    name: str
    entries: tuple[Entry, ...]
    prefix: str = ""

    @property
    def newest_ms(self) -> int:
        """The end of the newest window; 0 if there is none."""
        return max((entry.time_ms for entry in self.entries), default=0)

    def scores(
        self, task: str, scenarios: Sequence[str], metric: str, after_ms: int, until_ms: int
    ) -> Scores:
        """A task's metric by window that ends in `(after_ms, until_ms]`, the mean by samples."""
        names = [f"{self.prefix}{task}/{scenario}" for scenario in scenarios]
        found = (
            (entry.window_start_ms, _mean(entry.metrics, names, metric))
            for entry in self.entries
            if after_ms < entry.time_ms <= until_ms
        )
        return {window: score for window, score in found if score[1]}


def scorers(place: Place) -> tuple[Scorer, ...]:
    """The models and the item baseline."""
    models = tuple(Scorer(model, _entries(place.learner_state(model))) for model in place.models)
    return (*models, Scorer("item CTR so far", models[0].entries, f"{BASELINE}/"))


def mean(scores: Scores) -> str:
    """The mean weighted by samples."""
    if not scores:
        return "-"
    value, weight = _columns(scores)
    return f"{(value * weight).sum() / weight.sum():.4f}"


def interval(scores: Scores) -> str:
    """The mean weighted by samples, and its bootstrap interval over windows."""
    if not scores:
        return "no window"
    value, weight = _columns(scores)
    drawn = np.random.default_rng(0).integers(0, len(value), (RESAMPLES, len(value)))
    means = (value[drawn] * weight[drawn]).sum(1) / weight[drawn].sum(1)
    low, high = np.quantile(means, [0.025, 0.975])
    return f"{mean(scores)} [{low:.4f}, {high:.4f}]"


def _entries(state: Path) -> tuple[Entry, ...]:
    return tuple(entry for entry, _ in Journal(state / "metrics.jsonl").since(0))


def _mean(metrics: Mapping[str, float], names: Sequence[str], metric: str) -> tuple[float, float]:
    """The metric of several scenarios together, by samples; (0, 0) where none has it."""
    parts = [
        (metrics[f"{name}/{metric}"], metrics[f"{name}/samples"])
        for name in names
        if f"{name}/{metric}" in metrics
    ]
    samples = sum(weight for _, weight in parts)
    whole = sum(value * weight for value, weight in parts)
    return (whole / samples if samples else 0.0), samples


def _columns(scores: Scores) -> npt.NDArray[np.float64]:
    return np.array(list(scores.values())).T
