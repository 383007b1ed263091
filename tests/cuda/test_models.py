"""On a CUDA device each model computes, learns, saves and goes on as it does on the host."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from torch import Tensor

import models
from learner.step import Step
from models.base import RankingModel
from models.batch import UserBatch
from models.loss import weighted_bce
from models.optimisers import OptimiserConfig, Optimisers
from models.tables import tables_in
from tests.models.builder import LAYOUT, ODD_SHAPES, BatchBuilder

pytestmark = [pytest.mark.cuda, pytest.mark.parametrize("name", models.names())]

HOST, DEVICE = torch.device("cpu"), torch.device("cuda")
LEARNING = OptimiserConfig(dense_rate=0.003, dense_average=0.9, clip_norm=1.0)


def tiny(name: str, device: torch.device) -> RankingModel:
    return models.create(name, LAYOUT, "tiny", seed=0).to(device)


def step_of(model: RankingModel, config: OptimiserConfig = LEARNING) -> Step:
    return Step(model, Optimisers(model, config), (1.0, 0.5))


def batches(n: int) -> Iterator[UserBatch]:
    for seed in range(n):
        yield BatchBuilder(seed).batch(ODD_SHAPES * 3)


def gradients(model: RankingModel, batch: UserBatch) -> dict[str, Tensor]:
    weighted_bce(model(batch), batch).backward()
    found = {}
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        found[key] = parameter.grad.to_dense().cpu()
    return found


def assert_alike(on_device: dict[str, Tensor], on_host: dict[str, Tensor], near: float) -> None:
    """Equal up to rounding, measured against the largest number of each tensor."""
    assert on_device.keys() == on_host.keys()
    for key, expected in on_host.items():
        received, expected = on_device[key].cpu().double(), expected.double()
        allowed = near * max(float(expected.abs().max()), 1e-6) if expected.numel() else near
        torch.testing.assert_close(received, expected, rtol=0, atol=allowed, msg=key)


@contextmanager
def float32_products() -> Iterator[None]:
    """Products in full float32, so that host and device differ by the order of sums alone."""
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


@pytest.fixture(autouse=True)
def exact() -> Iterator[None]:
    with float32_products():
        yield


@pytest.mark.parametrize("seed", range(3))
def test_logits_are_those_of_the_host(name: str, seed: int) -> None:
    batch = BatchBuilder(seed).batch()
    on_host, on_device = tiny(name, HOST).eval(), tiny(name, DEVICE).eval()
    with torch.no_grad():
        received, expected = on_device(batch), on_host(batch)
    assert received.device.type == "cuda"
    torch.testing.assert_close(received.cpu(), expected, rtol=1e-4, atol=1e-5)


def test_gradients_are_those_of_the_host(name: str) -> None:
    batch = BatchBuilder(0).batch(ODD_SHAPES * 2)
    expected = gradients(tiny(name, HOST), batch)
    assert_alike(gradients(tiny(name, DEVICE), batch), expected, near=1e-4)


@pytest.mark.parametrize("sparse", ["adagrad", "adam"])
def test_twenty_steps_end_where_the_host_ends(name: str, sparse: str) -> None:
    config = replace(LEARNING, sparse=sparse)  # type: ignore[arg-type]
    losses = {}
    for device in (HOST, DEVICE):
        step = step_of(tiny(name, device), config)
        losses[device] = [step(batch) for batch in batches(20)]
    assert None not in losses[DEVICE]
    torch.testing.assert_close(
        torch.tensor(losses[DEVICE]), torch.tensor(losses[HOST]), rtol=2e-3, atol=2e-3
    )


def test_what_learned_on_the_device_scores_the_same_on_the_host(name: str) -> None:
    model = tiny(name, DEVICE)
    step = step_of(model)
    for batch in batches(5):
        step(batch)
    on_host = tiny(name, HOST)
    on_host.load_state_dict(model.state_dict())
    last = BatchBuilder(9).batch()
    with torch.no_grad():
        received, expected = on_host.eval()(last), model.eval()(last).cpu()
    torch.testing.assert_close(received, expected, rtol=1e-4, atol=1e-5)


def test_rows_saved_piece_by_piece_on_the_device_are_restored_on_the_host(name: str) -> None:
    model, on_host = tiny(name, DEVICE), tiny(name, HOST)
    step, parts = step_of(model), []
    for batch in batches(6):
        step(batch)
        parts.append({key: table.changes() for key, table in tables_in(model).items()})
    for key, table in tables_in(on_host).items():
        table.restore([part[key] for part in parts])
        assert_alike(table.live(), tables_in(model)[key].live(), near=0.0)


def test_training_goes_on_from_a_saved_state_as_if_never_stopped(name: str) -> None:
    model = tiny(name, DEVICE)
    step = step_of(model)
    for batch in batches(4):
        step(batch)
    again = tiny(name, DEVICE)
    again.load_state_dict(model.state_dict())
    resumed = step_of(again)
    resumed.optimisers.load_state_dict(step.optimisers.state_dict())
    batch = BatchBuilder(11).batch(ODD_SHAPES * 3)
    assert resumed(batch) == pytest.approx(step(batch), rel=1e-5)
    assert_alike(dict(again.named_parameters()), dict(model.named_parameters()), near=1e-4)


def test_bfloat16_loses_little(name: str) -> None:
    model = tiny(name, DEVICE)
    half = replace(step_of(tiny(name, DEVICE)), precision="bfloat16")
    batch = BatchBuilder(0).batch(ODD_SHAPES * 3)
    assert half(batch) == pytest.approx(step_of(model)(batch), rel=0.03)


def test_a_price_that_is_no_number_is_skipped_on_the_device_too(name: str) -> None:
    model = tiny(name, DEVICE)
    step = step_of(model)
    batch = BatchBuilder(0).batch(ODD_SHAPES)
    assert step(batch) is not None
    price = batch.sample_features["price"]
    spoiled = replace(price, values=price.values * float("nan"), present=price.present | True)  # type: ignore[arg-type]
    before = {key: value.clone() for key, value in model.named_parameters()}
    assert step(replace(batch, sample_features={**batch.sample_features, "price": spoiled})) is None
    assert_alike(dict(model.named_parameters()), before, near=0.0)
