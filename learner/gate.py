"""The gate before `challenger`: whether a version may stand beside the champion, and why not.

It looks at the windows since the last version, each scored before it was trained on. Rules are
tried in this order; the first that fails is the reason:

1. enough samples of the main task;
2. no prediction that is no number;
3. calibration of the main task within bounds;
4. beside a champion: in no scenario is a guard metric of the main task worse by more than
   `tolerance`, beyond its 95% interval;
5. beside a champion: the main metric is better, beyond its 95% interval.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from learner.metrics import ALL
from learner.scoring import Verdict
from learner.shadow import Shadow
from models.layout import Layout
from schemas.spec import Spec
from schemas.spec.table import Table

Compared = Literal["gauc", "normalised_entropy"]
BETTER = {"gauc": 1.0, "normalised_entropy": -1.0}
"""The sign of an improvement."""


@dataclass(frozen=True)
class GateConfig:
    """`[learner.gate]` of a spec."""

    task: str
    """The main task."""
    metric: Compared = "gauc"
    """The main metric: the one that must be better than the champion's."""
    guards: tuple[str, ...] = ("gauc", "normalised_entropy")
    """Metrics that may not be worse than the champion's in any scenario."""
    tolerance: float = 0.0
    """How much worse a guard may be, in its own unit."""
    min_samples: int = 1000
    """Labelled samples: of the main task in all, and of a scenario that is guarded."""
    calibration: tuple[float, float] = (0.5, 2.0)
    """Bounds, inclusive."""


@dataclass(frozen=True)
class Decision:
    """What the gate says of a version."""

    passed: bool
    reason: str

    @property
    def tags(self) -> dict[str, str]:
        """As tags of a version."""
        return {"gate": "passed" if self.passed else "refused", "gate_reason": self.reason}


def gate_config(spec: Spec, file: str) -> GateConfig:
    """Check the spec's `[learner.gate]`; `file` is what errors name. Raises SpecError."""
    table = Table(file, "learner.gate", spec.learner.get("gate", {}))
    default = GateConfig(next(iter(spec.tasks)))
    metric: Any = table.choice("metric", get_args(Compared), default.metric)
    config = GateConfig(
        task=table.choice("task", tuple(spec.tasks), default.task),
        metric=metric,
        guards=table.names_among("guards", BETTER, "a guard metric", list(default.guards)),
        tolerance=float(table.take("tolerance", (int, float), "a number", default.tolerance)),
        min_samples=table.count("min_samples", default.min_samples),
        calibration=_bounds(table, default.calibration),
    )
    table.finish()
    return config


def decide(verdict: Verdict, layout: Layout, config: GateConfig) -> Decision:
    """Whether the model that the verdict is of may become the challenger."""
    reasons = _refusals(verdict, layout, config)
    refusal = next(reasons, None)
    if refusal is not None:
        return Decision(False, refusal)
    if verdict.shadow is None:
        return Decision(True, "no champion to compare with")
    name = _name(layout.tasks.index(config.task), -1, layout, config.metric)
    return Decision(True, f"{name} better than champion {verdict.shadow.version}")


def _refusals(verdict: Verdict, layout: Layout, config: GateConfig) -> Iterator[str]:
    task = layout.tasks.index(config.task)
    results = verdict.model.results()
    samples = int(results["samples"][task, -1])
    if samples < config.min_samples:
        yield f"{samples} samples of {config.task}, fewer than {config.min_samples}"
    if verdict.unscored:
        yield f"{verdict.unscored} predictions that are no number"
    calibration = results["calibration"][task, -1]
    low, high = config.calibration
    if not low <= calibration <= high:
        yield f"calibration of {config.task} {calibration:.3f}, not within {low} and {high}"
    if verdict.shadow is not None:
        yield from _worse(verdict.shadow, task, layout, config)
        yield from _not_better(verdict.shadow, task, layout, config)


def _worse(shadow: Shadow, task: int, layout: Layout, config: GateConfig) -> Iterator[str]:
    """Guard metrics that are worse in some scenario, beyond interval and tolerance."""
    samples = shadow.model.results()["samples"][task]
    differences = shadow.differences()
    for metric in config.guards:
        difference, width = (values[task] for values in differences[metric])
        gain = BETTER[metric] * difference
        lost = (gain + width < -config.tolerance) & (samples >= config.min_samples)
        for column in np.flatnonzero(lost).tolist():
            name = _name(task, column, layout, metric)
            by = _signed(difference, width, column)
            yield f"{name} worse than champion {shadow.version}: {by}"


def _not_better(shadow: Shadow, task: int, layout: Layout, config: GateConfig) -> Iterator[str]:
    difference, width = (values[task] for values in shadow.differences()[config.metric])
    if not BETTER[config.metric] * difference[-1] - width[-1] > 0:
        name = _name(task, -1, layout, config.metric)
        yield (
            f"{name} not better than champion {shadow.version} beyond the interval: "
            f"{_signed(difference, width, -1)}"
        )


def _name(task: int, column: int, layout: Layout, metric: str) -> str:
    return f"{layout.tasks[task]}/{(*layout.scenarios, ALL)[column]}/{metric}"


def _signed(difference: Any, width: Any, column: int) -> str:
    return f"{difference[column]:+.4f} ± {width[column]:.4f}"


def _bounds(table: Table, default: tuple[float, float]) -> tuple[float, float]:
    expected = "two numbers in order, such as [0.5, 2.0]"
    values = table.take("calibration", list, expected, list(default))
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    if len(values) != 2 or len(numbers) != 2 or not 0 <= numbers[0] <= numbers[1]:
        raise table.fail("calibration", expected, values)
    return float(numbers[0]), float(numbers[1])
