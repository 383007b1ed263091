"""INFNet against its reference, and its parts against numbers worked out by hand."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from learner.step import task_weighted_loss
from models.base import ModelError
from models.batch import UserBatch
from models.infnet import Infnet, InfnetConfig
from models.infnet.block import Aggregation, Broadcast, CrossAttention, InfnetBlock, Tokens
from models.infnet.plan import plan_of
from models.infnet.tokens import CategoricalHubs, SequenceHubs, SequenceTokens, TaskTokens
from models.layers.per_token import TaskHeads
from models.loss import weighted_bce
from models.tables import HashedTable, TableConfig, Tables
from tests.models.builder import (
    LAYOUT,
    ODD_SHAPES,
    WINDOW_START_MS,
    BatchBuilder,
    UserShape,
)
from tests.models.slow_infnet import slow_logits

FIXED = TableConfig(rows=64, std=0.025, kind="hashed")
"""Tables whose rows a reference finds by hand."""

SHAPES = (*ODD_SHAPES[:4], UserShape(history=9, recent=5, requests=(1, 3, 2)))


@pytest.mark.parametrize(
    "sizes",
    [
        {"blocks": 2, "categorical_hubs": 2, "shared_hubs": 1},
        {"blocks": 3, "categorical_hubs": 1, "shared_hubs": 0, "positions": 4},
        {"blocks": 1, "shared_hubs": 2},
        {"blocks": 2, "categorical_hubs": 3, "projections": True},
        {"blocks": 2, "categorical_hubs": 3, "sequence_scale": 0.25},
    ],
)
def test_logits_and_all_gradients_equal_the_reference(sizes: dict) -> None:
    config = replace(
        Infnet.presets["tiny"],
        width=4,
        hub_hidden=5,
        tables=FIXED,
        **sizes,
    )
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


SILU_1 = 0.7310585786300049
SILU_MINUS_1 = -0.2689414213699951
LN3 = math.log(3)


def config_of(**sizes: int) -> InfnetConfig:
    return replace(Infnet.presets["tiny"], **sizes)


def test_categorical_hubs_project_the_flattened_tokens_in_equation_1() -> None:
    # Flatten(C) = (1, -1); hidden SiLU(1), SiLU(-1); the hubs are h_1 and 2 h_2 + 1.
    hubs = CategoricalHubs(2, config_of(width=1, hub_hidden=2, categorical_hubs=2))
    fill(hubs.phi[0], [[1.0, 0.0], [0.0, 1.0]], [0.0, 0.0])
    fill(hubs.phi[2], [[1.0, 0.0], [0.0, 2.0]], [0.0, 1.0])
    expected = torch.tensor([[[[SILU_1], [2 * SILU_MINUS_1 + 1]]]])
    torch.testing.assert_close(hubs(torch.tensor([[[[1.0], [-1.0]]]])), expected)


def fill(layer: nn.Linear, weight: list[list[float]], bias: list[float]) -> None:
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(weight))
        layer.bias.copy_(torch.tensor(bias))


def two_requests() -> UserBatch:
    """Clicks of H 3 s and 2 s before the first request; then a like 0.5 s, a click 0 s before.

    The second request comes 1 s after the first.
    """
    at_ms = WINDOW_START_MS + 5000
    batch = BatchBuilder(0).batch([UserShape(history=2, recent=2, requests=(1, 2))])
    of_h, of_r = torch.tensor([at_ms - 3000, at_ms - 2000]), torch.tensor([at_ms - 500, at_ms])
    return replace(
        batch,
        history=replace(batch.history, action=torch.tensor([0, 0]), time_ms=of_h),
        recent=replace(batch.recent, action=torch.tensor([1, 0]), time_ms=of_r),
        request_time_ms=torch.tensor([at_ms, at_ms + 1000]),
    )


def test_sequence_tokens_know_position_and_time_in_equation_2() -> None:
    """e is 0, p_t = 100 t and r_i = i, so a token reads as its position and its interval.

    Two intervals a doubling of seconds: 0 below 1 s, 1 from 1 s, 2 from 1.41 s, 3 from 2 s, 4
    from 2.83 s. The click at the very time of the first request is none of its tokens.
    """
    batch, config = two_requests(), config_of(width=1)
    tokens = SequenceTokens(LAYOUT, config)
    tables = Tables(LAYOUT, lambda: HashedTable(rows=4, dim=1, std=1.0))
    with torch.no_grad():
        for parameter in (*tables.parameters(), *tokens.parameters()):
            parameter.zero_()
        tokens.position.copy_(100.0 * torch.arange(config.positions)[:, None])
        tokens.interval.copy_(torch.arange(54)[:, None])
        plan = plan_of(batch, n_types=2)
        s = tokens(tables, batch, plan)[:, 0]
    # Packed by type, then request: clicks of the first and of the second, likes of both.
    assert plan.by_type == [5, 2]
    assert s.tolist() == [104, 3, 205, 104, 1, 0, 2]
    padded = plan.tokens.pad(s)
    by_request = {
        request: row[:length].tolist()
        for of, rows, lengths in zip(plan.requests, padded, plan.lengths, strict=True)
        for request, row, length in zip(of.tolist(), rows, lengths.tolist(), strict=True)
    }
    assert by_request == {0: [104, 3, 0], 1: [205, 104, 1, 2]}


def test_an_action_is_its_item_its_features_its_stream_and_its_scenario() -> None:
    batch = two_requests()
    tokens = SequenceTokens(LAYOUT, config_of(width=1, sequence_scale=0.5))
    tables = Tables(LAYOUT, lambda: HashedTable(rows=4, dim=1, std=1.0))
    values = {"item": 2.0, "author": 20.0, "tags": 200.0}
    with torch.no_grad():
        for parameter in tokens.parameters():
            parameter.zero_()
        for name, value in values.items():
            tables[name].weight.fill_(value)
        tokens.stream.copy_(torch.tensor([[1000.0], [2000.0]]))
        tokens.scenario.copy_(torch.tensor([[0.0], [1e4], [2e4], [3e4]]))
        plan = plan_of(batch, n_types=2)
        s = tokens(tables, batch, plan)[:, 0]
    scenario = torch.cat((batch.history.scenario, batch.recent.scenario))[plan.action]
    stream = torch.cat((batch.history.action, batch.recent.action))[plan.action]
    assert s.tolist() == (111 + 1000 * (1 + stream) + 1e4 * (1 + scenario)).tolist()


def test_a_types_hub_is_the_mean_of_its_own_network_in_equation_3() -> None:
    # MLP_click(s) = SiLU(s) + 1, MLP_like(s) = 3 SiLU(s). The first request sees clicks 1 and -1
    # and a like 1, the second the clicks 1, 1 and -1 and the like 1.
    plan = plan_of(two_requests(), n_types=2)
    hubs = SequenceHubs(2, config_of(width=1, sequence_hidden=1))
    with torch.no_grad():
        hubs.first.weight.copy_(torch.tensor([[[1.0]], [[1.0]]]))
        hubs.first.bias.zero_()
        hubs.second.weight.copy_(torch.tensor([[[1.0]], [[3.0]]]))
        hubs.second.bias.copy_(torch.tensor([[1.0], [0.0]]))
    s_Md = torch.tensor([[1.0], [-1.0], [1.0], [1.0], [-1.0], [1.0], [1.0]])
    found = torch.cat([one[:, 0, :, 0] for one in hubs(s_Md, plan)])
    expected = {
        0: [(SILU_1 + SILU_MINUS_1) / 2 + 1, 3 * SILU_1],
        1: [(2 * SILU_1 + SILU_MINUS_1) / 3 + 1, 3 * SILU_1],
    }
    order = torch.cat(plan.requests).tolist()
    torch.testing.assert_close(found, torch.tensor([expected[request] for request in order]))


def test_a_type_without_actions_has_the_hub_zero() -> None:
    batch = BatchBuilder(0).batch([UserShape(history=0, recent=0, requests=(1,))])
    config = config_of()
    hubs = SequenceHubs(2, config)(torch.zeros(0, config.width), plan_of(batch, n_types=2))
    assert hubs[0].tolist() == torch.zeros(1, 1, 2, config.width).tolist()


def test_task_hubs_are_the_task_tokens_and_the_shared_ones_in_equation_4() -> None:
    task = TaskTokens(2, config_of(width=1, shared_hubs=1))
    with torch.no_grad():
        task.own.copy_(torch.tensor([[1.0], [2.0]]))
        task.shared.copy_(torch.tensor([[3.0]]))
    tokens, hubs = task()
    assert tokens.tolist() == [[[[1.0], [2.0]]]]
    assert hubs.tolist() == [[[[1.0], [2.0], [3.0]]]]


KEYS = torch.tensor([[[[2 * LN3, 0, 0, 4.0], [0, 0, 0, 8.0], [9.0, 9.0, 9.0, 9.0]]]])


def test_a_hub_weighs_tokens_by_their_scaled_products_in_equation_5() -> None:
    # d = 4: scores 2 ln 3 / 2 and 0, so shares 3/4 and 1/4; the third token is padding.
    attention = CrossAttention(config_of(width=4))
    hub = torch.tensor([[[[1.0, 0, 0, 0]]]])
    found = attention(hub, Tokens(KEYS, torch.tensor([2])))
    torch.testing.assert_close(found, torch.tensor([[[[1.5 * LN3, 0, 0, 5.0]]]]))
    assert attention(hub, Tokens(KEYS, torch.tensor([0]))).tolist() == [[[[0, 0, 0, 0]]]]


def test_projections_act_on_queries_keys_and_values() -> None:
    # W_Q takes the hub (0, 1, 0, 0) to (1, 0, 0, 0), W_K doubles, W_V triples; the tokens are half
    # as long as above, so scores and shares are those of above.
    attention = CrossAttention(replace(config_of(width=4), projections=True))
    swap = torch.eye(4)[[1, 0, 2, 3]]
    with torch.no_grad():
        attention.projections.copy_(torch.stack([swap, 2 * torch.eye(4), 3 * torch.eye(4)]))
    tokens = Tokens(KEYS / 2, torch.tensor([2]))
    found = attention(torch.tensor([[[[0, 1.0, 0, 0]]]]), tokens)
    torch.testing.assert_close(found, torch.tensor([[[[2.25 * LN3, 0, 0, 7.5]]]]))


def test_three_views_are_fused_and_added_in_equations_6_and_7() -> None:
    # One token a group, so each view is that token: C (1, 0), S (0, 2), T (4, 4). Linear adds the
    # first of C and S's second to the first place, and half of T's first, plus 1, to the second:
    # (1 + 2, 2 + 1) on the hub (1, 3) is (4, 6), normalised (-1, 1), then gain 2 and bias 5.
    aggregation = Aggregation(config_of(width=2))
    fill(aggregation.fusion, [[1, 0, 0, 1, 0, 0], [0, 0, 0, 0, 0.5, 0]], [0.0, 1.0])
    fill_norm(aggregation.norm, gain=2.0, bias=5.0)
    tokens = {
        group: Tokens(torch.tensor([[[token]]]))
        for group, token in zip("CST", ([1.0, 0.0], [0.0, 2.0], [4.0, 4.0]), strict=True)
    }
    found = aggregation(torch.tensor([[[[1.0, 3.0]]]]), tokens)
    torch.testing.assert_close(found, torch.tensor([[[[3.0, 7.0]]]]), rtol=0, atol=1e-4)


def fill_norm(norm: nn.LayerNorm, gain: float, bias: float) -> None:
    with torch.no_grad():
        norm.weight.fill_(gain)
        norm.bias.fill_(bias)


def test_hubs_scale_and_shift_all_tokens_alike_in_equations_8_to_10() -> None:
    # Flatten(X̃) = (1, -1); MLP_bgu makes α = (0, ln 3), β = (SiLU(1), 0): σ(α) = (1/2, 3/4).
    # (2, 4): (2, 4) + (1 + SiLU(1), 3) = (3.73, 7): normalised (-1, 1).
    # (8, 4): (8, 4) + (4 + SiLU(1), 3) = (12.73, 7): normalised (1, -1).
    broadcast = Broadcast(2, config_of(width=2, broadcast_hidden=1))
    fill(broadcast.modulation[0], [[1.0, 0.0, 0.0, 0.0]], [0.0])
    fill(broadcast.modulation[2], [[0.0], [0.0], [1.0], [0.0]], [0.0, LN3, 0.0, 0.0])
    fill_norm(broadcast.norm, gain=1.0, bias=1.0)
    hubs = torch.tensor([[[[1.0, 0.0], [-1.0, 0.0]]]])
    found = broadcast(Tokens(torch.tensor([[[[2.0, 4.0], [8.0, 4.0]]]])), hubs).x
    expected = torch.tensor([[[[0.0, 2.0], [2.0, 0.0]]]])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
    assert broadcast.modulation(hubs.flatten(2)).tolist() == [[[0.0, LN3_32, SILU_1_32, 0.0]]]


LN3_32, SILU_1_32 = torch.tensor([LN3, SILU_1]).tolist()


def test_each_task_reads_its_own_token_with_its_own_head_in_equation_11() -> None:
    # Task 0: 2 SiLU(1 · 1) + 0; task 1: 3 SiLU(-1 · 1) + 1.
    heads = TaskHeads(2, inner=1, hidden=1)
    with torch.no_grad():
        heads.first.weight.copy_(torch.tensor([[[1.0]], [[-1.0]]]))
        heads.first.bias.zero_()
        heads.out.copy_(torch.tensor([[2.0], [3.0]]))
        heads.out_bias.copy_(torch.tensor([0.0, 1.0]))
    expected = torch.tensor([[2 * SILU_1, 3 * SILU_MINUS_1 + 1]])
    torch.testing.assert_close(heads(torch.tensor([[[1.0], [1.0]]])), expected)


def test_the_loss_weighs_tasks_in_equation_12() -> None:
    # Cross-entropies log 2 and log 4, weights 1 and 3: their mean by weight.
    batch = BatchBuilder(0).batch([UserShape(0, 0, (1,))])
    batch = replace(
        batch,
        labels=torch.tensor([[1.0, 0.0]]),
        label_present=torch.ones(1, 2, dtype=torch.bool),
    )
    loss = task_weighted_loss(torch.tensor([[0.0, LN3]]), batch, (1.0, 3.0))
    assert loss.item() == pytest.approx((math.log(2) + 3 * math.log(4)) / 4)


def test_cost_of_a_block_grows_by_the_same_for_each_token() -> None:
    config = config_of(width=8)
    block = InfnetBlock({"C": 2, "S": 2, "T": 3}, config)

    def flops(n_tokens: int) -> int:
        tokens = {
            "C": Tokens(torch.ones(1, 1, 5, 8)),
            "S": Tokens(torch.ones(1, 1, n_tokens, 8), torch.tensor([n_tokens])),
            "T": Tokens(torch.ones(1, 1, 2, 8)),
        }
        hubs = {group: torch.ones(1, 1, n, 8) for group, n in (("C", 2), ("S", 2), ("T", 3))}
        with FlopCounterMode(display=False) as counter:
            block(tokens, hubs)
        return counter.get_total_flops()

    # Scores and contexts of 7 hubs: 2 · 2 · 7 · 8 a token.
    assert flops(200) - flops(100) == flops(300) - flops(200) == 100 * 2 * 2 * 7 * 8


@pytest.mark.parametrize("blocks", [1, 3])
@pytest.mark.parametrize("projections", [False, True])
def test_no_part_is_dead_whatever_the_depth(blocks: int, projections: bool) -> None:
    model = Infnet(LAYOUT, replace(config_of(blocks=blocks), projections=projections))
    batch = BatchBuilder(0).batch(ODD_SHAPES * 2)
    weighted_bce(model(batch), batch).backward()
    dead = [k for k, p in model.named_parameters() if p.grad is None or not p.grad.norm() > 0]
    assert dead == []


def test_the_last_block_serves_tasks_alone() -> None:
    model = Infnet(LAYOUT, config_of(blocks=2))
    assert [list(block.aggregate) for block in model.blocks] == [["C", "S", "T"], ["T"]]
    assert Infnet(LAYOUT, config_of(blocks=1)).categorical_hubs is None


def test_sequence_tokens_are_made_once_a_request() -> None:
    few = BatchBuilder(0).batch([UserShape(history=7, recent=3, requests=(1, 1))])
    many = BatchBuilder(0).batch([UserShape(history=7, recent=3, requests=(50, 50))])
    n_tokens = [len(plan_of(batch, n_types=2).action) for batch in (few, many)]
    assert n_tokens[0] == n_tokens[1]


@pytest.mark.parametrize(
    "sizes", [{"blocks": 0}, {"width": 0}, {"categorical_hubs": 0}, {"shared_hubs": -1}]
)
def test_sizes_that_make_no_model_are_readable_errors(sizes: dict[str, int]) -> None:
    (name, value) = next(iter(sizes.items()))
    with pytest.raises(ModelError, match=f"infnet: expected {name} .* received {name} = {value}"):
        config_of(**sizes)
