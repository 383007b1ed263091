"""A training step: what it skips, what it leaves alone, in which precision it computes."""

from dataclasses import replace

import pytest
import torch

from learner.step import Step
from models import create
from models.base import RankingModel
from models.batch import Numbers, UserBatch
from models.optimisers import OptimiserConfig, Optimisers
from tests.models.builder import LAYOUT, BatchBuilder


def step_of(model: RankingModel, precision: str = "float32") -> Step:
    optimisers = Optimisers(model, OptimiserConfig(clip_norm=1.0))
    return Step(model, optimisers, (1.0, 1.0), precision)  # type: ignore[arg-type]


def with_price(batch: UserBatch, price: float) -> UserBatch:
    there = torch.ones(batch.n_samples, dtype=torch.bool)
    prices = Numbers(torch.full((batch.n_samples,), price), there)
    return replace(batch, sample_features={**batch.sample_features, "price": prices})


@pytest.mark.parametrize("name", ["mtfm", "dlrm_mlp"])
@pytest.mark.parametrize("price", [float("nan"), float("inf")])
def test_a_batch_that_is_no_number_is_skipped_with_the_weights_as_they_were(
    name: str, price: float
) -> None:
    model, batch = create(name, LAYOUT, "tiny"), BatchBuilder(0).batch()
    step = step_of(model)
    assert step(batch) is not None
    before = {key: value.clone() for key, value in model.state_dict().items()}
    assert step(with_price(batch, price)) is None
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key]), key
    assert step(batch) is not None


def test_a_gradient_that_is_no_number_is_skipped_though_the_loss_is_one() -> None:
    model, batch = create("dlrm_mlp", LAYOUT, "tiny"), BatchBuilder(0).batch()
    step = step_of(model)
    table = model.tables["item"]
    table.weight.register_hook(lambda grad: grad * float("inf"))
    before = model.logits.weight.clone()
    assert step(batch) is None
    assert torch.equal(model.logits.weight, before)


def test_in_bfloat16_products_are_rounded_and_weights_are_not() -> None:
    losses = {}
    for precision in ("float32", "bfloat16"):
        model, batch = create("mtfm", LAYOUT, "tiny"), BatchBuilder(0).batch()
        losses[precision] = step_of(model, precision)(batch)
        assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=0.02)
    assert losses["bfloat16"] != losses["float32"]
