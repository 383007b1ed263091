"""All metrics of one scorer over one set of samples, per task and column."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from learner.metrics.calibration import Calibration
from learner.metrics.entropy import NormalisedEntropy
from learner.metrics.grouped_auc import GroupedAuc
from learner.metrics.histogram_auc import HistogramAuc
from learner.metrics.hit_rate import HitRate
from learner.metrics.ndcg import Ndcg
from learner.metrics.resampled import Resampled
from learner.metrics.scored import Floats, Scored

ALL = "all"
"""The name of the column that takes all others together."""


@dataclass(frozen=True)
class Scorecard:
    """The sketches that a scorer is judged by. Mergeable, storable, immutable."""

    auc: HistogramAuc
    gauc: GroupedAuc
    qauc: GroupedAuc
    normalised_entropy: NormalisedEntropy
    calibration: Calibration
    hr_at_5: HitRate
    ndcg_at_10: Ndcg
    resampled: Resampled

    @classmethod
    def of(cls, scored: Scored, tasks: int, columns: int) -> Self:
        """The scorecard of some samples of whole users."""
        return cls(
            auc=HistogramAuc.of(scored, tasks, columns),
            gauc=GroupedAuc.of(scored, tasks, columns, "user"),
            qauc=GroupedAuc.of(scored, tasks, columns, "request"),
            normalised_entropy=NormalisedEntropy.of(scored, tasks, columns),
            calibration=Calibration.of(scored, tasks, columns),
            hr_at_5=HitRate.of(scored, tasks, columns),
            ndcg_at_10=Ndcg.of(scored, tasks, columns),
            resampled=Resampled.of(scored, tasks, columns),
        )

    @classmethod
    def empty(cls, tasks: int, columns: int) -> Self:
        """The scorecard of no samples."""
        none = np.empty(0, dtype=np.int64)
        cells = np.empty((0, tasks))
        return cls.of(
            Scored(cells, cells.astype(bool), cells.astype(bool), none, none, none, none),
            tasks,
            columns,
        )

    def merge(self, other: Self) -> Self:
        """The scorecard of both sets of samples together."""
        return type(self)(**{n: s.merge(getattr(other, n)) for n, s in self._sketches().items()})

    def results(self) -> dict[str, Floats]:
        """Metric name → values [K, S + 1]; NaN where a metric is undefined."""
        sketches = self._sketches()
        intervals = sketches.pop("resampled").results()
        values = {name: sketch.result() for name, sketch in sketches.items()}
        return values | intervals | {"samples": self.normalised_entropy.samples_by_cell()}

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Everything to store, flat: `sketch.field` → sums."""
        return {
            f"{name}.{field}": array
            for name, sketch in self._sketches().items()
            for field, array in sketch.arrays().items()
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """What `arrays` came from."""
        return cls(**{f.name: _restored(f.name, f.type, arrays) for f in fields(cls)})

    def _sketches(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}


def _restored(name: str, kind: Any, arrays: Mapping[str, npt.NDArray[Any]]) -> Any:
    prefix = f"{name}."
    own = {key.removeprefix(prefix): a for key, a in arrays.items() if key.startswith(prefix)}
    return kind.from_arrays(own)


def named(
    results: Mapping[str, Floats], tasks: Sequence[str], columns: Sequence[str]
) -> dict[str, float]:
    """`<task>/<column>/<metric>` → value, undefined ones and cells without samples left out."""
    return {
        f"{task}/{column}/{metric}": float(values[k, s])
        for metric, values in results.items()
        for k, task in enumerate(tasks)
        for s, column in enumerate((*columns, ALL))
        if np.isfinite(values[k, s]) and results["samples"][k, s] > 0
    }
