"""MDL against the reference of its equations, and its parts against numbers worked out by hand."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import silu

from models.batch import UserBatch
from models.layout import Layout
from models.loss import weighted_bce
from models.mdl import Mdl
from models.mdl.groups import groups_of
from tests.models.builder import LAYOUT, ODD_SHAPES, BatchBuilder, UserShape
from tests.models.slow_mdl import MdlInputs, by_symbol
from tests.references import mdl as reference

TINY = replace(Mdl.presets["tiny"], d_model=7, embedding=3, tokenizer_width=5, table_rows=64)
BARE = replace(LAYOUT, request=LAYOUT.request[:1], candidate=(), tasks=("click",))
BARE = replace(BARE, task_actions=("click",))
TWO_GROUPS = (("@user", "@item", "city", "@history"), ("age", "items", "author", "price"))


@pytest.mark.parametrize(
    ("seed", "layout", "changes"),
    [
        (0, LAYOUT, {"blocks": 1, "heads": 1}),
        (1, LAYOUT, {"blocks": 2, "heads": 2, "important": ("author", "age")}),
        (2, BARE, {"blocks": 3, "heads": 3, "ffn_ratio": 3}),
        (3, LAYOUT, {"groups": (*TWO_GROUPS, ("@recent", "@scenario")), "important": ("items",)}),
    ],
)
def test_packed_batches_equal_the_reference_token_by_token(
    seed: int, layout: Layout, changes: dict[str, Any]
) -> None:
    model = shaken(seed, layout, changes)
    batch = BatchBuilder(seed, layout).batch(ODD_SHAPES)
    membership = some_membership(batch, seed)
    logits = model(batch, membership)
    weighted_bce(logits, batch).backward()

    weights = {k: p.detach().clone().requires_grad_() for k, p in model.named_parameters()}
    expected = by_reference(model, layout, weights, batch, membership.tolist())
    weighted_bce(expected, batch).backward()

    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-9)
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        gradient = parameter.grad
        dense = gradient.to_dense() if gradient.is_sparse else gradient
        torch.testing.assert_close(dense, weights[name].grad, rtol=0, atol=1e-9, msg=name)


def shaken(seed: int, layout: Layout, changes: dict[str, Any]) -> Mdl:
    """A float64 model whose weights have left their initial values, so that a mix-up shows."""
    torch.manual_seed(seed)
    model = Mdl(layout, replace(TINY, **changes)).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return model


def some_membership(batch: UserBatch, seed: int) -> Tensor:
    """Requests in none, one or several scenarios."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(batch.n_requests, len(LAYOUT.scenarios), generator=generator) < 0.5


def by_reference(
    model: Mdl,
    layout: Layout,
    weights: dict[str, Tensor],
    batch: UserBatch,
    membership: Sequence[Sequence[bool]],
) -> Tensor:
    config = model.config
    groups = [group.members for group in groups_of(layout, config.groups)]
    samples = MdlInputs(layout, config, groups, weights).samples(batch, membership)
    shape = (len(groups), len(layout.scenarios), len(layout.tasks), config.blocks)
    reading = reference.Reading(blocks=config.blocks, heads=config.heads, activation=silu)
    return reference.mdl(samples, by_symbol(weights, shape), reading)


def test_by_default_a_request_is_in_its_own_scenario_alone() -> None:
    model, batch = shaken(4, LAYOUT, {}), BatchBuilder(4).batch([UserShape(3, 2, (2, 1))])
    own = torch.nn.functional.one_hot(batch.scenario, len(LAYOUT.scenarios)) > 0
    assert torch.equal(model(batch), model(batch, own))
