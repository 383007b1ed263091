"""All metrics of one scorer over one set of samples, per task and scenario."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from learner.metrics.calibration import Calibration
from learner.metrics.entropy import NormalisedEntropy
from learner.metrics.grouped_auc import GroupedAuc
from learner.metrics.histogram_auc import HistogramAuc
from learner.metrics.hit_rate import HitRate
from learner.metrics.scored import Floats, Scored

ALL = "all"
"""The name of the column that takes all scenarios together."""


@dataclass(frozen=True)
class Scorecard:
    """The sketches that a scorer is judged by. Mergeable, storable, immutable."""

    auc: HistogramAuc
    gauc: GroupedAuc
    qauc: GroupedAuc
    normalised_entropy: NormalisedEntropy
    calibration: Calibration
    hr_at_5: HitRate

    @classmethod
    def of(cls, scored: Scored, tasks: int, scenarios: int) -> Self:
        """The scorecard of some samples of whole users."""
        return cls(
            auc=HistogramAuc.of(scored, tasks, scenarios),
            gauc=GroupedAuc.of(scored, tasks, scenarios, "user"),
            qauc=GroupedAuc.of(scored, tasks, scenarios, "request"),
            normalised_entropy=NormalisedEntropy.of(scored, tasks, scenarios),
            calibration=Calibration.of(scored, tasks, scenarios),
            hr_at_5=HitRate.of(scored, tasks, scenarios),
        )

    @classmethod
    def empty(cls, tasks: int, scenarios: int) -> Self:
        """The scorecard of no samples."""
        none = np.empty(0, dtype=np.int64)
        cells = np.empty((0, tasks))
        return cls.of(
            Scored(cells, cells.astype(bool), cells.astype(bool), none, none, none),
            tasks,
            scenarios,
        )

    def merge(self, other: Self) -> Self:
        """The scorecard of both sets of samples together."""
        return type(self)(**{n: s.merge(getattr(other, n)) for n, s in self._sketches().items()})

    def results(self) -> dict[str, Floats]:
        """Metric name → values [K, S + 1]; NaN where a metric is undefined."""
        values = {name: sketch.result() for name, sketch in self._sketches().items()}
        return values | {"samples": self.normalised_entropy.samples_by_cell()}

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
    results: Mapping[str, Floats], tasks: tuple[str, ...], scenarios: tuple[str, ...]
) -> dict[str, float]:
    """`<task>/<scenario>/<metric>` → value, undefined ones and cells without samples left out."""
    columns = (*scenarios, ALL)
    return {
        f"{task}/{scenario}/{metric}": float(values[k, s])
        for metric, values in results.items()
        for k, task in enumerate(tasks)
        for s, scenario in enumerate(columns)
        if np.isfinite(values[k, s]) and results["samples"][k, s] > 0
    }
