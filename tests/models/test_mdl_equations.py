"""Each equation of MDL 3 against numbers worked out by hand."""

import math
from dataclasses import replace

import torch
from torch import Tensor, nn

import models
from models.mdl import Mdl
from models.mdl.block import MdlBlock, ScenarioAttention, Shape, TaskAttention, Tokens
from models.mdl.feature_tokens import FeatureTokenizer
from models.mdl.groups import groups_of
from models.mdl.plan import plan_of
from models.mdl.prompt_tokens import PromptTokenizer, ScenarioFfn, TaskFfn
from models.mdl.selection import Selection, own_scenario, selection_of
from models.tables import TableConfig
from tests.models.builder import LAYOUT, BatchBuilder, UserShape

SILU_1 = 1 / (1 + math.exp(-1))
TINY = replace(Mdl.presets["tiny"], tables=TableConfig(rows=64, std=0.025, kind="hashed"))
"""With tables whose rows are there from the beginning."""


def selection(scenarios: list[list[int]], samples: list[int], n_scenarios: int = 2) -> Selection:
    """Requests with so many samples each, in these scenarios."""
    batch = BatchBuilder(0).batch([UserShape(0, 0, tuple(samples))])
    membership = torch.zeros(len(samples), n_scenarios, dtype=torch.bool)
    for request, own in enumerate(scenarios):
        membership[request, own] = True
    return selection_of(batch, membership)


def filled(module: nn.Module, value: float = 0.0) -> nn.Module:
    """The module with all its parameters at one value."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.fill_(value)
    return module


def set_to(parameter: Tensor, values: object) -> None:
    with torch.no_grad():
        parameter.copy_(torch.as_tensor(values).view(parameter.shape))


def test_eq3_projects_each_group_by_its_own_matrix() -> None:
    # Embeddings of 1: group 1 has 3 members, of which history counts twice (mean and attended).
    # With weights 1 and 10, biases 0.5 and 0.25, means of one action 1 and attended 0.
    config = replace(TINY, embedding=1, groups=(("@user", "@item", "@history"), OTHERS))
    groups = groups_of(LAYOUT, config.groups)
    tokenizer = FeatureTokenizer(LAYOUT, config, groups, width=2)
    filled(tokenizer, 0.0)
    filled(tokenizer.tables, 1.0)
    filled(tokenizer.action.stream, -2.0)
    for projection, weight, bias in zip(
        tokenizer.projections.values(), (1.0, 10.0), (0.5, 0.25), strict=True
    ):
        set_to(projection.weight, torch.full_like(projection.weight, weight))
        set_to(projection.bias, [bias, bias])
    batch = BatchBuilder(0).batch([UserShape(history=1, recent=0, requests=(1,))])
    plan = plan_of(batch, own_scenario(batch, 3), n_streams=2)
    tokens = tokenizer(batch, plan)
    # An action: stream -2 + item 1 + author 1 + tags 1 = 1. Group 1: user 1 + item 1 + mean 1.
    # Group 2: city, items and author 1 each; age, price, scenario and R 0.
    assert tokens[0].tolist() == [[3.5, 3.5], [30.25, 30.25]]


OTHERS = ("city", "age", "items", "author", "price", "@scenario", "@recent")


def test_eq4_scenario_tokens_have_networks_of_their_own() -> None:
    # Request (user 1, specific 10 · (token + 1)), item 100: first layers sum their inputs, all
    # scaled by 0.01 · token; the second layer gives SiLU · 1 + token, then ReLU.
    ffn = ScenarioFfn(tokens=3, of_request=2, of_sample=1, hidden=1, d=2)
    set_to(ffn.of_request.weight, [[0.0, 0.0], [0.01, 0.01], [0.02, 0.02]])
    set_to(ffn.of_request.bias, [0.0, 0.0, 0.0])
    set_to(ffn.of_sample.weight, [0.0, 0.01, 0.02])
    set_to(ffn.second.weight, [[1.0, -1.0]] * 3)
    set_to(ffn.second.bias, [[0.0, 0.0], [1.0, 1.0], [2.0, -9.0]])
    chosen = selection([[1]], [1])
    specific = torch.tensor([[[10.0], [20.0], [30.0]]])
    rows = ffn(torch.tensor([[1.0]]), specific, torch.tensor([[100.0]]), chosen)
    own, shared = 0.01 * 121, 0.02 * 131
    silu = torch.nn.functional.silu(torch.tensor([own, shared]))
    expected = torch.tensor([[silu[0] + 1, 1 - silu[0]], [silu[1] + 2, 0.0]])
    torch.testing.assert_close(rows, expected)


def test_eq4_task_tokens_have_networks_of_their_own() -> None:
    # Tasks weigh (user 1, specific 2 or 3, item 4) by 1 and by -1; second layers are the identity.
    ffn = TaskFfn(tokens=2, of_request=2, of_sample=1, hidden=1, d=1)
    set_to(ffn.of_request.weight, [[1.0, 1.0], [-1.0, -1.0]])
    set_to(ffn.of_request.bias, [0.0, 9.0])
    set_to(ffn.of_sample.weight, [1.0, -1.0])
    set_to(ffn.second.weight, [1.0, 1.0])
    set_to(ffn.second.bias, [0.0, 0.5])
    user, specific = torch.tensor([[1.0]]), torch.tensor([[[2.0], [3.0]]])
    tokens = ffn(user, specific, torch.tensor([[4.0]]), torch.tensor([0]))
    silu = torch.nn.functional.silu(torch.tensor([7.0, 1.0]))
    torch.testing.assert_close(tokens[0, :, 0], torch.tensor([silu[0], silu[1] + 0.5]))


def test_eq4_reads_the_actions_of_its_scenario_or_stream() -> None:
    # Rows of 0 and streams of 1 and 2 as vectors: two clicks in home, one like in search.
    config = replace(TINY, embedding=1)
    tokenizer = PromptTokenizer(LAYOUT, config, width=2)
    filled(tokenizer)
    set_to(tokenizer.action.stream.weight, [1.0, 2.0])
    batch = BatchBuilder(0).batch([UserShape(history=3, recent=0, requests=(1,))])
    history = replace(
        batch.history, action=torch.tensor([0, 0, 1]), scenario=torch.tensor([0, 0, 1])
    )
    batch = replace(batch, history=history)
    seen = {}
    tokenizer.scenarios.register_forward_pre_hook(lambda _, x: seen.update(scenarios=x[1]))
    tokenizer.tasks.register_forward_pre_hook(lambda _, x: seen.update(tasks=x[1]))
    tokenizer(batch, plan_of(batch, own_scenario(batch, 3), n_streams=2))
    # Home, search, shop, all; then of R, which is empty.
    means = torch.tensor([1.0, 2.0, 0.0, 4 / 3])
    torch.testing.assert_close(seen["scenarios"][0], torch.stack((means, means * 0), dim=1))
    # Task click reads clicks; task buy is of no stream that sequences carry: all.
    means = torch.tensor([1.0, 4 / 3])
    torch.testing.assert_close(seen["tasks"][0], torch.stack((means, means * 0), dim=1))


def shape_of(**changes: int) -> Shape:
    sizes = {"features": 2, "scenarios": 2, "tasks": 1, "width": 2, "hidden": 2, "heads": 1}
    return Shape(**(sizes | changes))


def test_eq6_mixes_adds_normalises_and_feeds_forward() -> None:
    # T = [1, 2], [5, 4]; mixed [1, 5], [2, 4]; with T [2, 7], [7, 8]; LN [-1, 1] twice.
    # FFN of token 1: first layer doubles and adds 2, second is the identity; token 2: gives 3.
    block = MdlBlock(shape_of(), last=True)
    block.norm.eps = 0.0
    filled(block.feature_ffn)
    eye = torch.eye(2)
    set_to(block.feature_ffn.first.weight, torch.stack((2 * eye, eye)))
    set_to(block.feature_ffn.first.bias, [2.0, 2.0, 0.0, 0.0])
    set_to(block.feature_ffn.second.weight, torch.stack((eye, 0 * eye)))
    set_to(block.feature_ffn.second.bias, [0.0, 0.0, 3.0, 3.0])
    chosen = selection([[0]], [1])
    feature = torch.tensor([[[1.0, 2.0], [5.0, 4.0]]])
    after = block(Tokens(feature, torch.zeros(2, 2), torch.zeros(1, 1, 2)), chosen)
    silu_4 = 4 / (1 + math.exp(-4))
    torch.testing.assert_close(after.feature[0], torch.tensor([[0.0, silu_4], [3.0, 3.0]]))


LOG_3 = math.log(3)


def test_eq7_weighs_values_of_features_by_the_tasks_query() -> None:
    # d = 2, one head: q = [√2 log 3, 0]; keys [1, 0] and [0, 0]: shares 3/4, 1/4.
    # Values: token 1 doubled, token 2 as it is.
    attention = TaskAttention(shape_of())
    filled(attention)
    set_to(attention.query.bias, [math.sqrt(2) * LOG_3, 0.0])
    double, eye = 2 * torch.eye(2), torch.eye(2)
    set_to(
        attention.key_value.weight,
        torch.stack((torch.cat((0 * eye, double), 1), torch.cat((0 * eye, eye), 1))),
    )
    set_to(attention.key_value.bias, [[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    features = torch.tensor([[[4.0, 8.0], [40.0, 0.0]]])
    attended = attention(torch.zeros(1, 1, 2), features)
    shares = attention.shares(torch.zeros(1, 1, 2), features)
    torch.testing.assert_close(shares.flatten(), torch.tensor([0.75, 0.25]))
    torch.testing.assert_close(attended.flatten(), torch.tensor([16.0, 12.0]))


def test_eq8_gives_each_scenario_token_its_own_query() -> None:
    # Scenario 0 asks for log 3, scenario 1 for 0, the global token for -log 3 times key [1, 0].
    attention = ScenarioAttention(shape_of())
    filled(attention)
    root = math.sqrt(2) * LOG_3
    set_to(attention.query.bias, [[root, 0.0], [0.0, 0.0], [-root, 0.0]])
    set_to(attention.key_value.bias, [[1.0, 0.0, 8.0, 4.0], [0.0, 0.0, 0.0, 0.0]])
    chosen = selection([[0], [1]], [1, 1])
    attended = attention(torch.zeros(4, 2), torch.zeros(2, 2, 2), chosen)
    assert chosen.row_sample.tolist() == [0, 1, 0, 1]
    expected = torch.tensor([[6.0, 3.0], [4.0, 2.0], [2.0, 1.0], [2.0, 1.0]])
    torch.testing.assert_close(attended, expected)


def test_eq9_averages_the_scenarios_of_a_sample_and_the_global_one() -> None:
    # Requests in scenario 0, in both, in none; the second has two samples.
    chosen = selection([[0], [0, 1], []], [1, 2, 1])
    assert chosen.sizes.tolist() == [2, 3, 3, 1]
    rows = torch.tensor([1.0, 2.0, 3.0, 20.0, 30.0, 100.0, 200.0, 300.0, 400.0])[:, None]
    # Token 0 of samples 0 to 2, token 1 of samples 1 and 2, the global one of all.
    expected = [101 / 2, 222 / 3, 333 / 3, 400.0]
    torch.testing.assert_close(chosen.mean(rows).flatten(), torch.tensor(expected))


def test_eq10_to_15_by_hand() -> None:
    """Features are of no use (values 0), so tokens meet each other alone."""
    block = MdlBlock(shape_of(tasks=2, width=2), last=False)
    filled(block)
    # FFNs: first layers give 1 whatever comes in, second layers are multiples of SiLU(1).
    set_to(block.task_ffn.first.bias, [1.0] * 4)
    set_to(block.task_ffn.second.weight, [[1.0, 0.0], [0.0, 0.0], [5.0, 0.0], [0.0, 0.0]])
    set_to(block.scenario_ffn.first.bias, [1.0] * 6)
    set_to(block.scenario_ffn.second.weight, [[[k, 0.0], [0.0, 0.0]] for k in (1.0, 2.0, 3.0)])
    chosen = selection([[1]], [1])
    tokens = Tokens(
        feature=torch.zeros(1, 2, 2),
        scenario=torch.tensor([[10.0, 20.0], [30.0, 40.0]]),  # scenario 1, global
        task=torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]),
    )
    after = block(tokens, chosen)
    # (9), (10): + [20, 30]; (15): + SiLU(1) and 5 SiLU(1) at the first place.
    expected = torch.tensor([[21 + SILU_1, 32.0], [23 + 5 * SILU_1, 34.0]])
    torch.testing.assert_close(after.task[0], expected)
    # (12): scenario 1 and the global one by their own FFNs.
    expected = torch.tensor([[10 + 2 * SILU_1, 20.0], [30 + 3 * SILU_1, 40.0]])
    torch.testing.assert_close(after.scenario, expected)


def test_eq11_and_13_add_what_the_updated_features_give() -> None:
    # Feature FFNs give [1, 2] and [3, 6] whatever comes in; equal scores: values' mean [2, 4].
    block = MdlBlock(shape_of(), last=True)
    filled(block)
    set_to(block.feature_ffn.second.bias, [1.0, 2.0, 3.0, 6.0])
    eye, none = torch.eye(2), torch.zeros(2, 2)
    values = torch.cat((none, eye), 1).expand(2, 2, 4)
    set_to(block.scenario_attention.key_value.weight, values)
    set_to(block.task_attention.key_value.weight, 10 * values)
    tokens = Tokens(
        feature=torch.randn(1, 2, 2),
        scenario=torch.tensor([[100.0, 0.0], [300.0, 0.0]]),
        task=torch.tensor([[[1000.0, 2000.0]]]),
    )
    after = block(tokens, selection([[0]], [1]))
    assert after.scenario.tolist() == [[102.0, 4.0], [302.0, 4.0]]
    # The task's own, the values' mean tenfold, the mean of 102 and 302, and of 4 and 4.
    torch.testing.assert_close(after.task[0, 0], torch.tensor([1222.0, 2044.0]))


def test_eq16_has_a_head_for_each_task() -> None:
    model = models.create("mdl", LAYOUT, "tiny")
    filled(model)
    with torch.no_grad():
        model.out[0, :2] = torch.tensor([1.0, 10.0])
        model.out[1, 0] = 3.0
        model.out_bias.copy_(torch.tensor([0.5, -1.0]))
    task = torch.zeros(1, 2, model.width)
    task[0, :, :2] = torch.tensor([2.0, 3.0])
    assert model.logits(task).tolist() == [[32.5, 5.0]]
