"""The learner's section of the spec is checked as strictly as the rest of it."""

import dataclasses
from typing import Any

import pytest

from learner.config import learner_config
from models.optimisers import OptimiserConfig
from schemas.errors import SpecError
from tests.learner.world import SPEC


def config_of(learner: dict[str, Any], models: dict[str, Any] | None = None) -> Any:
    spec = dataclasses.replace(SPEC, learner=learner, models=models or {})
    return learner_config(spec, "mtfm", "shop.toml")


def test_without_a_section_every_task_weighs_one() -> None:
    config = config_of({})
    assert config.task_weights == (1.0,) * len(SPEC.tasks)
    assert config.optimiser == OptimiserConfig()


def test_a_models_own_rates_win_over_the_learners() -> None:
    common = {
        "optimiser": {
            "dense_rate": 0.5,
            "sparse_rate": 0.25,
            "dense_hold": 9,
            "dense_average": 0.75,
        }
    }
    config = config_of(common, {"mtfm": {"optimiser": {"dense_rate": 0.125}}})
    assert (config.optimiser.dense_rate, config.optimiser.sparse_rate) == (0.125, 0.25)
    assert (config.optimiser.dense_hold, config.optimiser.dense_average) == (9, 0.75)


@pytest.mark.parametrize(
    ("learner", "where"),
    [
        (
            {"batch_user": 5},
            "learner.batch_user: expected no such key (did you mean 'batch_users'?)",
        ),
        ({"batch_users": 0}, "learner.batch_users: expected a whole number of 1 or more"),
        ({"task_weights": {"clik": 1}}, "(did you mean 'click'?)"),
        ({"task_weights": {"click": -1}}, "learner.task_weights.click: expected a number of zero"),
        ({"optimiser": {"dense": "sgd"}}, "learner.optimiser.dense: expected one of adam, rmsprop"),
        ({"optimiser": {"sparse": "sgd"}}, "optimiser.sparse: expected one of adagrad, adam"),
        ({"optimiser": {"clip_norm": -1}}, "clip_norm: expected a number of zero or more"),
        ({"precision": "half"}, "learner.precision: expected one of float32, bfloat16"),
        ({"optimiser": {"dense_rate": 0}}, "dense_rate: expected a number above zero"),
        ({"optimiser": {"dense_hold": -1}}, "dense_hold: expected a whole number of 0 or more"),
        ({"optimiser": {"dense_average": 1}}, "dense_average: expected a number from 0 up to, but"),
    ],
)
def test_a_slip_is_named_with_file_and_key(learner: dict[str, Any], where: str) -> None:
    with pytest.raises(SpecError) as raised:
        config_of(learner)
    assert str(raised.value).startswith("shop.toml: ")
    assert where in str(raised.value)
