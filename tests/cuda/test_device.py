"""What goes to a CUDA device is queued: no model waits for the device while it computes."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

import models
from learner.step import task_weighted_loss
from models.device import moved
from models.mtfm.plan import plan_of
from tests.models.builder import LAYOUT, ODD_SHAPES, BatchBuilder

pytestmark = pytest.mark.cuda

DEVICE = torch.device("cuda")
BUSY_CYCLES = 1_000_000_000
"""For half a second or so."""


@contextmanager
def waiting_is_an_error() -> Iterator[None]:
    """Within it torch raises where it would wait for the device."""
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(before)


def test_a_copy_is_queued_behind_what_the_device_is_busy_with() -> None:
    """From memory that is not pinned the copy would wait its turn, and the caller with it."""
    value = {"large": torch.arange(1 << 20), "small": torch.arange(3), "none": torch.arange(0)}
    moved(value, DEVICE)  # Pinned memory is taken from the driver once, which waits.
    torch.cuda.synchronize()
    torch.cuda._sleep(BUSY_CYCLES)
    there = moved(value, DEVICE)
    assert not torch.cuda.current_stream().query()
    for name, expected in value.items():
        assert torch.equal(there[name].cpu(), expected)


def test_a_plan_is_the_same_on_the_device() -> None:
    plan = plan_of(BatchBuilder(0).batch(), n_streams=2, n_scenarios=3)
    there = moved(plan, DEVICE)
    assert torch.equal(there.group.cpu(), plan.group)
    assert torch.equal(there.history.slots.cpu(), plan.history.slots)
    for one, other in zip(there.target_sees, plan.target_sees, strict=True):
        assert torch.equal(one.cpu(), other)


@pytest.mark.parametrize("name", models.names())
def test_forward_loss_and_backward_wait_for_nothing(name: str) -> None:
    model = models.create(name, LAYOUT, "tiny").to(DEVICE)
    batches = [BatchBuilder(seed).batch(ODD_SHAPES * 3) for seed in range(3)]
    task_weighted_loss(model(batches[0]), batches[0], (1.0, 0.5)).backward()
    torch.cuda.synchronize()
    for batch in batches[1:]:
        model.zero_grad()
        with waiting_is_an_error():
            loss = task_weighted_loss(model(batch), batch, (1.0, 0.5))
            loss.backward()
        assert loss.isfinite()


@pytest.mark.parametrize("name", models.names())
def test_scoring_waits_for_nothing_but_its_logits(name: str) -> None:
    model = models.create(name, LAYOUT, "tiny").to(DEVICE).eval()
    with torch.no_grad():
        model(BatchBuilder(0).batch())
        torch.cuda.synchronize()
        with waiting_is_an_error():
            logits = model(BatchBuilder(1).batch())
    assert logits.device.type == "cuda"
    assert logits.isfinite().all()
