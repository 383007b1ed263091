"""MDL against the reference of its equations, and what its text promises of scenarios."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import silu

import models
from models.base import ModelError
from models.batch import UserBatch
from models.layout import Layout
from models.loss import weighted_bce
from models.mdl import Mdl, MdlConfig
from models.mdl.groups import groups_of
from models.mdl.selection import own_scenario
from models.tables import TableConfig
from tests.models.builder import LAYOUT, ODD_SHAPES, BatchBuilder, UserShape, users_of
from tests.models.slow_mdl import MdlInputs, by_symbol
from tests.references import mdl as reference

FIXED = TableConfig(rows=64, std=0.025, kind="hashed")
"""Tables whose rows a reference finds by hand."""

TINY = replace(
    Mdl.presets["tiny"],
    d_model=7,
    embedding=3,
    tokenizer_width=5,
    tables=FIXED,
)
BARE = replace(LAYOUT, request=LAYOUT.request[:1], candidate=(), tasks=("click",))
BARE = replace(BARE, task_actions=("click",))
TWO_GROUPS = (("@user", "@item", "city", "@history"), ("age", "items", "author", "price"))


@pytest.mark.parametrize(
    ("seed", "layout", "changes"),
    [
        (0, LAYOUT, {"blocks": 1, "heads": 1}),
        (1, LAYOUT, {"blocks": 2, "heads": 2, "important": ("author", "age")}),
        (2, BARE, {"blocks": 3, "heads": 3, "ffn_ratio": 3, "user_ids": False}),
        (3, LAYOUT, {"groups": (*TWO_GROUPS, ("@recent", "@scenario")), "important": ("items",)}),
    ],
)
def test_packed_batches_equal_the_reference_token_by_token(
    seed: int, layout: Layout, changes: dict[str, Any]
) -> None:
    config = replace(TINY, **changes)
    model = shaken(seed, layout, config)
    batch = BatchBuilder(seed, layout).batch(ODD_SHAPES)
    membership = some_membership(batch, seed)
    logits = model(batch, membership)
    weighted_bce(logits, batch).backward()

    weights = {k: p.detach().clone().requires_grad_() for k, p in model.named_parameters()}
    expected = by_reference(layout, config, weights, batch, membership.tolist())
    weighted_bce(expected, batch).backward()

    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-9)
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        gradient = parameter.grad
        dense = gradient.to_dense() if gradient.is_sparse else gradient
        torch.testing.assert_close(dense, weights[name].grad, rtol=0, atol=1e-9, msg=name)


def shaken(seed: int, layout: Layout, config: MdlConfig) -> Mdl:
    """A float64 model whose weights have left their initial values, so that a mix-up shows."""
    torch.manual_seed(seed)
    model = Mdl(layout, config).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return model


def some_membership(batch: UserBatch, seed: int) -> Tensor:
    """Requests in none, one or several scenarios."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(batch.n_requests, len(LAYOUT.scenarios), generator=generator) < 0.5


def by_reference(
    layout: Layout,
    config: MdlConfig,
    weights: dict[str, Tensor],
    batch: UserBatch,
    membership: Sequence[Sequence[bool]],
) -> Tensor:
    groups = [group.members for group in groups_of(layout, config.groups)]
    samples = MdlInputs(layout, config, groups, weights).samples(batch, membership)
    shape = (len(groups), len(layout.scenarios), len(layout.tasks), config.blocks)
    reading = reference.Reading(blocks=config.blocks, heads=config.heads, activation=silu)
    return reference.mdl(samples, by_symbol(weights, shape), reading)


def test_by_default_a_request_is_in_its_own_scenario_alone() -> None:
    model, batch = shaken(4, LAYOUT, TINY), BatchBuilder(4).batch([UserShape(3, 2, (2, 1))])
    own = torch.nn.functional.one_hot(batch.scenario, len(LAYOUT.scenarios)) > 0
    assert torch.equal(model(batch), model(batch, own))


PER_SCENARIO = ("prompts.scenarios.", "scenario_attention.query", "scenario_ffn.")


def scenario_gradients(model: Mdl, batch: UserBatch, membership: Tensor | None = None) -> Tensor:
    """Which scenario tokens' own weights have a gradient, bool [parameters, S + 1]."""
    model.zero_grad()
    weighted_bce(model(batch, membership), batch).backward()
    own = [p for k, p in model.named_parameters() if any(part in k for part in PER_SCENARIO)]
    # Of the tokenizer 5, of two blocks' queries 4, of one block's FFN 4.
    assert len(own) == 13
    return torch.stack([p.grad.flatten(1).abs().sum(1) > 0 for p in own])


@pytest.mark.parametrize("scenario", [0, 1, 2])
def test_an_instance_moves_only_its_own_scenario_token_and_the_global_one(scenario: int) -> None:
    model = models.create("mdl", LAYOUT, "tiny")
    batch = BatchBuilder(1).batch([UserShape(9, 3, (3, 2))] * 4)
    batch = replace(batch, scenario=torch.full_like(batch.scenario, scenario))
    moved = scenario_gradients(model, batch)
    expected = [token in (scenario, 3) for token in range(4)]
    assert moved.tolist() == [expected] * len(moved)
    row = model.features.scenario.weight.grad.abs().sum(1) > 0
    assert row.tolist() == expected[:3]


def test_an_instance_of_two_scenarios_moves_both() -> None:
    model = models.create("mdl", LAYOUT, "tiny")
    batch = BatchBuilder(1).batch([UserShape(9, 3, (3, 2))] * 4)
    membership = torch.tensor([[True, False, True]]).expand(batch.n_requests, 3)
    moved = scenario_gradients(model, batch, membership)
    assert moved.tolist() == [[True, False, True, True]] * len(moved)


def test_overlap_of_one_request_leaves_the_others_as_they_are() -> None:
    model, batch = models.create("mdl", LAYOUT, "tiny"), BatchBuilder(2).batch()
    own = own_scenario(batch, 3)
    overlap = own.clone()
    overlap[3] = True
    with torch.no_grad():
        moved = (model(batch, overlap) - model(batch, own)).abs().amax(dim=1) > 1e-6
    assert moved.tolist() == (batch.sample_request == 3).tolist()


def test_attention_names_where_tasks_and_scenarios_look() -> None:
    model = models.create("mdl", LAYOUT, "tiny")
    assert model.feature_tokens == (
        "user", "context", "query", "item", "cross", "history", "recent",
    )  # fmt: skip
    batch = users_of(BatchBuilder(3).batch(), [0, 4])
    batch = replace(batch, scenario=torch.ones_like(batch.scenario))
    blocks = model.attention(batch)
    assert len(blocks) == 2
    for block in blocks:
        assert block.task.shape == (2, 7)
        torch.testing.assert_close(block.task.sum(1), torch.ones(2))
        torch.testing.assert_close(block.scenario[[1, 3]].sum(1), torch.ones(2))
        assert block.scenario[[0, 2]].isnan().all()
        assert not block.task.requires_grad


def test_attention_is_the_mean_over_samples_and_heads() -> None:
    # A task's bias as query meets keys of log 9 on the first token: with heads 1 wide each.
    model = Mdl(LAYOUT, replace(TINY, blocks=1, d_model=14, heads=2))
    (block,) = model.blocks
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.zero_()
        # Head width 7: only head 0 of task 0 asks, so its share is 9 / 15, of head 1 1 / 7.
        block.task_attention.query.bias[0, 0, 0] = math.log(9) * math.sqrt(7)
        block.task_attention.key_value.bias[0, 0, 0] = 1.0
    (attention,) = model.attention(BatchBuilder(0).batch())
    expected = torch.full((2, 7), 1 / 7)
    expected[0] = (torch.tensor([9.0, 1, 1, 1, 1, 1, 1]) / 15 + 1 / 7) / 2
    torch.testing.assert_close(attention.task, expected)
    torch.testing.assert_close(attention.scenario, torch.full((4, 7), 1 / 7))


def test_width_is_the_next_that_tokens_and_heads_divide() -> None:
    # 7 feature tokens and 2 heads: multiples of 14.
    for asked, width in ((14, 14), (15, 28), (48, 56)):
        assert models.create("mdl", LAYOUT, "tiny", {"d_model": asked}).width == width


def test_groups_come_from_owners_and_leave_empty_ones_out() -> None:
    bare = replace(LAYOUT, request=LAYOUT.request[:1], candidate=LAYOUT.candidate[:1])
    groups = {group.name: group.members for group in groups_of(bare, ())}
    assert groups == {
        "user": ("@user", "city"),
        "context": ("@scenario",),
        "item": ("@item", "author"),
        "history": ("@history",),
        "recent": ("@recent",),
    }


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            {"groups": [["@user", "cty"]]},
            "models.mdl.groups: expected features or @user, @scenario, @item, @history, @recent, "
            "received 'cty' (did you mean 'city'?)",
        ),
        (
            {
                "groups": [
                    ["@user", "@scenario", "@item", "@history", "city", "city"],
                    ["age", "items", "author", "price", "@scenario"],
                ]
            },
            "models.mdl.groups: expected each feature in exactly one group, received "
            "@scenario 2 times, @recent 0 times, city 2 times",
        ),
        (
            {"important": ["price", "colour"]},
            "models.mdl.important: expected a feature, received 'colour'",
        ),
    ],
)
def test_wrong_groups_are_readable_errors(overrides: dict[str, object], message: str) -> None:
    with pytest.raises(ModelError) as error:
        models.create("mdl", LAYOUT, "tiny", overrides)
    assert message in str(error.value)


def test_groups_may_be_lists_as_a_spec_has_them() -> None:
    groups = [[*TWO_GROUPS[0]], [*TWO_GROUPS[1]], ["@recent", "@scenario"]]
    model = models.create("mdl", LAYOUT, "tiny", {"groups": groups, "important": ["author"]})
    assert model.feature_tokens[2] == "@recent + @scenario"
    batch = BatchBuilder(6).batch()
    assert model(batch).shape == (batch.n_samples, 2)


def test_scenario_tokens_start_alike_and_task_tokens_do_not() -> None:
    weights = dict(models.create("mdl", LAYOUT, "tiny").named_parameters())
    own = [p for k, p in weights.items() if any(part in k for part in PER_SCENARIO)]
    assert all(torch.equal(p, p[:1].expand_as(p)) for p in own)
    tasks = weights["blocks.0.task_ffn.first.weight"]
    assert not torch.equal(tasks[0], tasks[1])
