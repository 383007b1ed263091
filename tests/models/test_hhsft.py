"""HHSFT against the slow reference, and its layers against numbers worked out by hand."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models.hhsft import Hhsft, HhsftConfig
from models.layout import FeatureField, Layout
from models.loss import weighted_bce
from tests.models.builder import LAYOUT, BatchBuilder
from tests.models.slow_hhsft import slow_logits

ONE_DOMAIN = replace(LAYOUT, domains=("feed",))
PLAIN = replace(
    LAYOUT,
    domains=("feed", "search", "shop"),
    request=(FeatureField("hour", "id", "hour", "context"),),
    candidate=(FeatureField("price", "number", "", "item"),),
)
"""No feature of users, queries or crosses: three blocks have no token."""


def small(**sizes: Any) -> HhsftConfig:
    return replace(Hhsft.presets["tiny"], d_h=8, embedding=4, table_rows=64, **sizes)


@pytest.mark.parametrize(
    ("layout", "sizes"),
    [
        (LAYOUT, {}),
        (LAYOUT, {"layers": 3, "heads": 4, "global_layers": 2, "global_heads": 2}),
        (LAYOUT, {"d_g": 14, "global_tokens": 4, "ffn_ratio": 3}),
        (ONE_DOMAIN, {"layers": 2, "global_tokens": 3, "expert_hidden": 5, "expert_width": 7}),
        (PLAIN, {"global_layers": 3, "expert_width": 6}),
    ],
    ids=["small", "deep", "global as wide as blocks", "one domain", "three domains, few blocks"],
)
def test_fast_and_slow_agree_on_logits_and_every_gradient(
    layout: Layout, sizes: dict[str, int]
) -> None:
    config, batch = small(**sizes), BatchBuilder(3, layout).batch()
    torch.manual_seed(5)
    model = Hhsft(layout, config).double()
    shake(model)
    logits = model(batch)
    weighted_bce(logits, batch).backward()
    fast = gradients(model)

    model.zero_grad()
    expected = slow_logits(model, config, batch)
    weighted_bce(expected, batch).backward()
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-9)
    for name, gradient in gradients(model).items():
        torch.testing.assert_close(fast[name], gradient, rtol=0, atol=1e-9, msg=name)


def shake(model: nn.Module) -> None:
    """Move gains and biases off their neutral initial values, so that a mix-up shows."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)


def gradients(model: nn.Module) -> dict[str, Tensor]:
    return {name: p.grad.to_dense().clone() for name, p in model.named_parameters()}
