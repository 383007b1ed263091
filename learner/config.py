"""How the learner learns: the spec's `[learner]` section and the model's own `[models.NAME]`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, get_args, get_type_hints

from learner.step import Precision
from models.optimisers import OptimiserConfig
from schemas.spec import Spec
from schemas.spec.table import Table, near_match


@dataclass(frozen=True)
class LearnerConfig:
    """What decides the weights besides the windows, the model and its configuration."""

    batch_users: int
    seed: int
    task_weights: tuple[float, ...]
    """One a task, in the layout's order."""
    optimiser: OptimiserConfig
    precision: Precision
    """Of the products in training; scoring and serving are float32."""
    max_bad_batches: int
    """How many batches with a loss or gradient that is no number are skipped before stopping."""

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self)


@dataclass(frozen=True)
class ModelSettings:
    """One model's section of the spec: its configuration and, under `optimiser`, its rates."""

    overrides: Mapping[str, Any]
    optimiser: Mapping[str, Any]


def learner_config(spec: Spec, model: str, file: str) -> LearnerConfig:
    """Check the spec's `[learner]` and `[models.NAME.optimiser]`; `file` is what errors name.

    Raises SpecError.
    """
    table = Table(file, "learner", spec.learner)
    common = table.table("optimiser", {})
    own = Table(file, f"models.{model}.optimiser", model_settings(spec, model).optimiser)
    config = LearnerConfig(
        batch_users=table.count("batch_users", 256, least=1),
        seed=table.count("seed", 0),
        task_weights=_task_weights(table.table("task_weights", {}), tuple(spec.tasks)),
        optimiser=_optimiser(own, _optimiser(common, OptimiserConfig())),
        precision=_precision(table),
        max_bad_batches=table.count("max_bad_batches", 10),
    )
    table.seen.add("gate")  # checked by learner.gate: it decides aliases, not weights
    table.finish()
    return config


def _precision(table: Table) -> Precision:
    precision: Any = table.choice("precision", get_args(Precision), "float32")
    return precision


def model_settings(spec: Spec, model: str) -> ModelSettings:
    """The model's section, the optimiser's part of it taken out."""
    section = dict(spec.models.get(model, {}))
    optimiser = section.pop("optimiser", {})
    return ModelSettings(overrides=section, optimiser=optimiser)


def _task_weights(table: Table, tasks: tuple[str, ...]) -> tuple[float, ...]:
    for name in table.values:
        if name not in tasks:
            raise table.fail(name, "the name of a task", name, near_match(name, tasks))
    return tuple(_number(table, task, 1.0, least=0.0) for task in tasks)


def _optimiser(table: Table, default: OptimiserConfig) -> OptimiserConfig:
    kinds = get_type_hints(OptimiserConfig)
    dense: Any = table.choice("dense", get_args(kinds["dense"]), default.dense)
    sparse: Any = table.choice("sparse", get_args(kinds["sparse"]), default.sparse)
    config = OptimiserConfig(
        dense=dense,
        dense_rate=_number(table, "dense_rate", default.dense_rate),
        dense_hold=table.count("dense_hold", default.dense_hold),
        dense_average=_share(table, "dense_average", default.dense_average),
        clip_norm=_number(table, "clip_norm", default.clip_norm, least=0.0),
        sparse=sparse,
        sparse_rate=_number(table, "sparse_rate", default.sparse_rate),
        sparse_epsilon=_number(table, "sparse_epsilon", default.sparse_epsilon),
    )
    table.finish()
    return config


def _share(table: Table, key: str, default: float) -> float:
    value = _number(table, key, default, least=0.0)
    if value >= 1:
        raise table.fail(key, "a number from 0 up to, but not, 1", value)
    return value


def _number(table: Table, key: str, default: float, least: float = 1e-30) -> float:
    expected = "a number above zero" if least else "a number of zero or more"
    value = float(table.take(key, (int, float), expected, default))
    if not least <= value < float("inf"):
        raise table.fail(key, expected, value)
    return value
