"""INFNet against its reference, and its parts against numbers worked out by hand."""

from dataclasses import replace

import pytest
import torch

from models.infnet import Infnet
from models.loss import weighted_bce
from tests.models.builder import LAYOUT, ODD_SHAPES, BatchBuilder, UserShape
from tests.models.slow_infnet import slow_logits

SHAPES = (*ODD_SHAPES[:4], UserShape(history=9, recent=5, requests=(1, 3, 2)))


@pytest.mark.parametrize(
    "sizes",
    [
        {"blocks": 2, "categorical_hubs": 2, "shared_hubs": 1},
        {"blocks": 3, "categorical_hubs": 1, "shared_hubs": 0, "positions": 4},
        {"blocks": 1, "shared_hubs": 2},
        {"blocks": 2, "categorical_hubs": 3, "projections": True},
    ],
)
def test_logits_and_all_gradients_equal_the_reference(sizes: dict) -> None:
    config = replace(Infnet.presets["tiny"], width=4, hub_hidden=5, table_rows=64, **sizes)
    batch = BatchBuilder(len(sizes)).batch(SHAPES)
    torch.manual_seed(5)
    model = Infnet(LAYOUT, config).double()
    shake(model)
    logits = model(batch)
    weighted_bce(logits, batch).backward()

    weights = {k: p.detach().clone().requires_grad_() for k, p in model.named_parameters()}
    expected = slow_logits(LAYOUT, config, weights, batch)
    weighted_bce(expected, batch).backward()

    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-9)
    for name, parameter in model.named_parameters():
        gradient = parameter.grad.to_dense() if parameter.grad.is_sparse else parameter.grad
        slow = weights[name].grad
        slow = torch.zeros_like(gradient) if slow is None else slow
        torch.testing.assert_close(gradient, slow, rtol=0, atol=1e-9, msg=name)


def shake(model: torch.nn.Module) -> None:
    """Move gains and biases off their neutral initial values, so that a mix-up shows."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
