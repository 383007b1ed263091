"""HHSFT against the slow reference, and its layers against numbers worked out by hand."""

from collections.abc import Iterator
from dataclasses import replace
from math import e, log
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import models
from models.base import ModelError
from models.batch import UserBatch
from models.hhsft import Hhsft, HhsftConfig
from models.hhsft.fusion import DomainAttention, PersonalGate, RoutedFusion
from models.hhsft.interaction import GlobalLayer, HeterogeneousLayer
from models.hhsft.plan import plan_of
from models.hhsft.tokens import BlockTokens
from models.layout import FeatureField, Layout
from models.loss import weighted_bce
from models.tables import TableConfig
from tests.models.builder import LAYOUT, BatchBuilder, UserShape
from tests.models.slow_hhsft import block_inputs, slow_logits

FIXED = TableConfig(rows=64, std=0.025, kind="hashed")
"""Tables whose rows a reference finds by hand."""

ONE_DOMAIN = replace(LAYOUT, domains=("feed",))
PLAIN = replace(
    LAYOUT,
    domains=("feed", "search", "shop"),
    request=(FeatureField("hour", "id", "hour", "context"),),
    candidate=(FeatureField("price", "number", "", "item"),),
)
"""No feature of users, queries or crosses: three blocks have no token."""


def small(**sizes: Any) -> HhsftConfig:
    return replace(
        Hhsft.presets["tiny"],
        d_h=8,
        embedding=4,
        tables=FIXED,
        **sizes,
    )


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


def test_actions_that_count_less_have_rows_of_their_own() -> None:
    # Rows of actions are 8 and count a quarter, those of candidates 3.
    config = small(sequence_scale=0.25)
    model = Hhsft(LAYOUT, config).double()
    with torch.no_grad():
        for table, value in ((model.tokenizer.own, 8.0), (model.tokenizer.tables, 3.0)):
            for weight in table.parameters():
                weight.fill_(value)
    batch = BatchBuilder(3).batch([UserShape(history=4, recent=0, requests=(2,))])
    blocks = block_inputs(model, batch)[0]
    named = dict(zip((*model.tokenizer.request, *model.tokenizer.sample), blocks, strict=True))
    acted = set(batch.history.action.tolist())
    of_stream = named["history"].view(2, model.streams, -1)
    for stream in range(model.streams):
        assert set(of_stream[:, stream].flatten().tolist()) == {2.0 if stream in acted else 0.0}
    assert named["item"][:, : config.embedding].unique().tolist() == [3.0]
    assert Hhsft(LAYOUT, small()).tokenizer.own is None


def shake(model: nn.Module) -> None:
    """Move gains and biases off their neutral initial values, so that a mix-up shows."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)


def gradients(model: nn.Module) -> dict[str, Tensor]:
    return {name: p.grad.to_dense().clone() for name, p in model.named_parameters()}


def rows(*values: object) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


@torch.no_grad()
def cleared(module: nn.Module, epsilon: float = 0.0) -> Any:
    """The module in float64 with all weights 0, gains 1 and norms of this ε."""
    module.double()
    for name, parameter in module.named_parameters():
        parameter.fill_(1.0 if name.endswith("gain") else 0.0)
    for norm in module.modules():
        if hasattr(norm, "epsilon"):
            norm.epsilon = epsilon
    return module


ONE_HEAD = replace(Hhsft.presets["tiny"], d_h=2, heads=1, d_g=2, expert_width=1, expert_hidden=1)
H = [[1.0, 3.0], [5.0, 1.0]]
"""Two tokens of width 2, normalised (-1, 1) and (1, -1)."""


@torch.no_grad()
def heterogeneous() -> HeterogeneousLayer:
    """q_0 = log 3 · √2 · x_0; k_i = x_i; v_0 = 4 x_0, v_1 = 8 x_1; everything else 0."""
    layer = cleared(HeterogeneousLayer(ONE_HEAD, tokens=2))
    eye = torch.eye(2).double()
    layer.qkv.weight[0] = torch.cat([eye * log(3) * 2**0.5 / 4, eye, 4 * eye], dim=1)
    layer.qkv.weight[1] = torch.cat([0 * eye, eye, 8 * eye], dim=1)
    return layer


def test_equation_1_projects_each_token_by_matrices_of_its_own() -> None:
    q, k, v = heterogeneous().projected(rows(*H)[None])[0].chunk(3, dim=1)
    root = log(3) * 2**0.5 / 4
    torch.testing.assert_close(q, rows([-root, root], [0, 0]))
    torch.testing.assert_close(k, rows([-1, 1], [1, -1]))
    torch.testing.assert_close(v, rows([-4, 4], [8, -8]))


def test_heterogeneous_layer_by_hand() -> None:
    # Scores of token 0 with (0, 1): ± 2 · log 3 · √2/4 / √2 = ± log 3 / 2, so shares (3/4, 1/4);
    # token 1 asks for nothing: halves. Attention: 3/4 (-4, 4) + 1/4 (8, -8) = (-1, 1), (2, -2).
    # W^O = (1, 10): a = (0, 4) and (25, -19). LN of both: (-1, 1), (1, -1). FFN_i adds its own.
    layer = heterogeneous()
    with torch.no_grad():
        layer.out.weight.copy_(torch.eye(2) * torch.tensor([1.0, 10.0])[:, None, None])
        layer.ffn.first.weight[:, 0, 0] = 1.0
        layer.ffn.second.weight[:, 0] = rows([1.0, 0.0], [0.0, 2.0])
        layer.ffn.second.bias[1] = 0.5
    minus, plus = -1 / (1 + e), e / (1 + e)  # SiLU of -1 and of 1
    expected = rows([0 + minus, 4], [25.5, -18.5 + 2 * plus])
    torch.testing.assert_close(layer(rows(*H)[None])[0], expected)


def test_what_samples_of_a_request_share_is_projected_once() -> None:
    torch.manual_seed(0)
    layer = HeterogeneousLayer(small(), tokens=5).double()
    shake(layer)
    request, sample = torch.randn(2, 3, 8).double(), torch.randn(4, 2, 8).double()
    sample_request = torch.tensor([0, 1, 1, 1])
    inputs: list[int] = []
    layer.norm_in.register_forward_hook(lambda _, x, y: inputs.append(x[0].shape[:2].numel()))
    h, once = layer.projected_once(BlockTokens(request, sample, []), sample_request)
    assert inputs == [2 * 3, 4 * 2]
    torch.testing.assert_close(h, torch.cat((request[sample_request], sample), dim=1))
    torch.testing.assert_close(once, layer.projected(h))


def test_equation_2_projects_all_tokens_together_for_each_global_token() -> None:
    # All tokens: x = (-1, 1, 1, -1). Global token 0: q = (√2 log 3, 0), k = (1, 0), v = (4, 0);
    # token 1: q = k = 0, v = (8, 8). Shares of token 0: (3/4, 1/4); of token 1: halves.
    # Attention (5, 2), (6, 4), and h, which is as wide: (6, 5), (11, 5); the FFN gives 0.
    layer = cleared(GlobalLayer(replace(ONE_HEAD, global_tokens=2), tokens=2, width=2))
    with torch.no_grad():
        q, k, v = layer.qkv.weight.view(3, 2, 2, 4)
        q[0, 0] = rows(0.0, 2**0.5 * log(3), 0.0, 0.0)
        k[0, 0] = rows(-0.5, 0.5, 0.0, 0.0)
        v[0, 0] = rows(0.0, 0.0, 4.0, 0.0)
        v[1, :] = rows(0.0, 0.0, 0.0, -8.0)
    torch.testing.assert_close(layer(rows(*H)[None])[0], rows([6.0, 5.0], [11.0, 5.0]))


def test_global_ffn_reads_all_tokens_and_adds_to_attention() -> None:
    # Three tokens in, one out of width 2: nothing to add to attention, which is v = (1, 3).
    # LN: (-1, 1). FFN: hidden SiLU(-1 + 2 · 1), into the second place: 10 of it.
    layer = cleared(GlobalLayer(replace(ONE_HEAD, global_tokens=1), tokens=3, width=2))
    with torch.no_grad():
        layer.qkv.weight[4:] = rows([0, 1, 0, 0, 0, 0], [0, 0, 0, 3, 0, 0])
        layer.ffn[0].weight[0] = rows(1.0, 2.0)
        layer.ffn[2].weight[1, 0] = 10.0
    h = rows([1.0, 3.0], [1.0, 3.0], [1.0, 3.0])
    torch.testing.assert_close(layer(h[None])[0], rows([1.0, 3 + 10 * e / (1 + e)]))


@torch.no_grad()
def constant(experts: Any, *outputs: float) -> None:
    """Make each domain's expert give one number."""
    experts.second.bias.copy_(rows(*([one] for one in outputs)))


def test_equations_3_and_4_gate_the_shared_expert_and_the_own_domains() -> None:
    # α = softmax(log 3, 0) = (3/4, 1/4) for z = 1 and (1/4, 3/4) for z = -1.
    fusion = cleared(RoutedFusion(ONE_HEAD, inner=1, domains=2))
    constant(fusion.routed, 8.0, 16.0)
    with torch.no_grad():
        fusion.shared[2].bias.fill_(4.0)
        fusion.gate.weight.copy_(rows([log(3)], [0.0]))
    e_n = fusion(rows([1.0], [-1.0], [1.0]), [2, 1])
    torch.testing.assert_close(e_n, rows([5.0], [7.0], [7.0]))


@torch.no_grad()
def domain_attention() -> DomainAttention:
    """Experts give 1 and 3; q = log 3 / 2 · o^cur, k = o, v = 10 o."""
    attention = cleared(DomainAttention(ONE_HEAD, domains=2))
    constant(attention.experts, 1.0, 3.0)
    for linear, value in (("query", log(3) / 2), ("key", 1.0), ("value", 10.0)):
        getattr(attention, linear).weight.fill_(value)
    return attention


def test_equations_5_and_6_ask_all_domains_experts_from_the_own_ones_view() -> None:
    # Domain 0: q = log 3 / 2, scores (log 3 / 2, 3 log 3 / 2), shares (1/4, 3/4): 2.5 + 22.5.
    # Domain 1: q = 3 log 3 / 2, scores differ by 3 log 3: shares (1, 27) / 28: (10 + 810) / 28.
    o = domain_attention()(rows([9.0], [9.0]), [1, 1])
    torch.testing.assert_close(o, rows([25.0], [820 / 28]))


def test_gradient_stops_at_the_other_domains_experts() -> None:
    attention = domain_attention()
    o = attention(rows([9.0]), [1, 0])
    o.sum().backward()
    moved = attention.experts.second.bias.grad
    assert moved[1].tolist() == [0.0]
    # õ = 10 (p o + (1 - p) c): as a value, 10 p = 2.5. As a key, p (1 - p) · q · 10 (o - c) =
    # 3/16 · log 3 / 2 · -20; as the query, p (1 - p) · log 3 / 2 · (o - c) · 10 (o - c) =
    # 3/16 · log 3 / 2 · 40.
    assert moved[0].item() == pytest.approx(2.5 + 3 / 16 * log(3) / 2 * 20)


def test_one_domain_has_all_the_share_and_no_query_or_key() -> None:
    attention = cleared(DomainAttention(ONE_HEAD, domains=1))
    constant(attention.experts, 3.0)
    with torch.no_grad():
        attention.value.weight.fill_(10.0)
    assert attention(rows([9.0]), [1]).tolist() == [[30.0]]
    assert attention.query is None
    assert attention.key is None


def test_equation_7_gates_by_user_and_domain() -> None:
    # W = (log 3 for the user's feature, 1 for the domain's), b = -1, domain 1's embedding 1.
    gate = cleared(PersonalGate(replace(ONE_HEAD, embedding=1), user_width=1, domains=2))
    with torch.no_grad():
        gate.linear.weight.copy_(rows([log(3), 1.0]))
        gate.linear.bias.fill_(-1.0)
        gate.domain.weight[1] = 1.0
    gamma = gate([rows([1.0], [0.0])], torch.tensor([1, 0]))
    torch.testing.assert_close(gamma, rows([0.75], [1 / (1 + e)]))


def test_equation_8_and_the_output_of_the_own_domain() -> None:
    # õ = 2 in every domain and γ = 1/2: γ õ = 1; domain d's output is 1 + 10 d for click.
    model = cleared(Hhsft(LAYOUT, ONE_HEAD), epsilon=1.0)
    constant(model.attention.experts, 2.0, 2.0)
    with torch.no_grad():
        model.attention.value.weight.fill_(1.0)
        model.heads.out[:, 0] = 1.0
        model.heads.out_bias[1, 0] = 10.0
    batch = BatchBuilder(0).batch([UserShape(0, 0, (1, 2))])
    logits = model(replace(batch, origin_domain=torch.tensor([1, 0])))
    torch.testing.assert_close(logits, rows([11.0, 0.0], [1.0, 0.0], [1.0, 0.0]))


def of_domain(name: str, parameter: Tensor) -> bool:
    """Whether a parameter has a part for each domain."""
    parts = ("fusion.routed", "attention.experts", "heads", "gate.domain")
    return name.startswith(parts) and len(parameter) == len(LAYOUT.domains)


@pytest.mark.parametrize("own", [0, 1])
def test_a_sample_never_moves_another_domains_expert_gate_or_output(own: int) -> None:
    model = Hhsft(LAYOUT, small()).double()
    batch = BatchBuilder(4).batch()
    batch = replace(batch, origin_domain=torch.full_like(batch.origin_domain, own))
    model(batch).sum().backward()
    parts = [(name, p) for name, p in model.named_parameters() if of_domain(name, p)]
    assert len(parts) == 4 + 4 + 2 + 1
    for name, parameter in parts:
        assert parameter.grad[own].norm() > 0, name
        assert parameter.grad[1 - own].norm() == 0, name


def test_a_sample_sees_every_domains_expert_of_the_attention_and_no_other_part() -> None:
    model, batch = Hhsft(LAYOUT, small()).double(), BatchBuilder(4).batch()
    batch = replace(batch, origin_domain=torch.zeros_like(batch.origin_domain))
    before = model(batch)
    for name, parameter in model.named_parameters():
        if of_domain(name, parameter):
            with torch.no_grad():
                parameter[1] += 0.5
                moved = (model(batch) - before).abs()
                parameter[1] -= 0.5
            if name.startswith("attention.experts"):
                assert (moved > 0).all(), name
            else:
                assert moved.max() == 0, name


def test_a_request_made_of_a_foreign_click_keeps_to_the_domain_it_was_logged_in() -> None:
    model = Hhsft(LAYOUT, small()).double()
    batch = BatchBuilder(5).batch([UserShape(3, 3, (2,))])
    feed, search = torch.tensor([0]), torch.tensor([1])
    native = model(replace(batch, domain=feed, origin_domain=feed))
    made = model(replace(batch, domain=search, origin_domain=feed))
    target = model(replace(batch, domain=search, origin_domain=search))
    assert torch.equal(made, native)
    assert ((made - target).abs() > 1e-6).all()


@pytest.mark.parametrize("layout", [ONE_DOMAIN, PLAIN], ids=["one domain", "few blocks"])
def test_nothing_is_built_that_no_gradient_reaches(layout: Layout) -> None:
    model, batch = Hhsft(layout, small(layers=2, global_layers=2)), BatchBuilder(0, layout).batch()
    weighted_bce(model(batch), batch).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []
    assert all(p.grad.norm() > 0 for p in model.parameters())


def changes(batch: UserBatch) -> Iterator[tuple[str, UserBatch]]:
    """For each block a batch that differs in what it holds."""
    request, sample = batch.request_features, batch.sample_features
    for name, owner in (("age", "user"), ("city", "user"), ("items", "query")):
        other = replace(request[name], values=request[name].values + 1)
        yield owner, replace(batch, request_features={**request, name: other})
    for name, owner in (("author", "item"), ("price", "cross")):
        other = replace(sample[name], values=sample[name].values + 1)
        yield owner, replace(batch, sample_features={**sample, name: other})
    yield "context", replace(batch, scenario=(batch.scenario + 1) % 3)
    yield "item", replace(batch, item=batch.item + 1)
    yield "history", replace(batch, history=replace(batch.history, item=batch.history.item + 1))
    yield "recent", replace(batch, recent=replace(batch.recent, action=1 - batch.recent.action))


def test_a_block_holds_what_its_owner_has_and_nothing_else() -> None:
    tokenizer = Hhsft(LAYOUT, small()).tokenizer
    batch = BatchBuilder(2).batch()
    of_request, of_sample = ("user", "context", "query", "history", "recent"), ("item", "cross")
    before = tokenizer(batch, plan_of(batch, n_streams=2, n_domains=2))
    for owner, other in changes(batch):
        after = tokenizer(other, plan_of(other, n_streams=2, n_domains=2))
        moved = [
            name
            for names, old, new in (
                (of_request, before.request, after.request),
                (of_sample, before.sample, after.sample),
            )
            for name, one, two in zip(names, old.unbind(1), new.unbind(1), strict=True)
            if not torch.equal(one, two)
        ]
        assert moved == [owner]


def test_a_block_without_features_has_no_token() -> None:
    tokenizer = Hhsft(PLAIN, small()).tokenizer
    assert (len(tokenizer.request), len(tokenizer.sample)) == (3, 1)
    nothing = replace(PLAIN, actions=(), task_actions=(None, None), action=())
    assert Hhsft(nothing, small()).tokenizer.n_tokens == 2


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"d_h": 10, "heads": 4}, "expected d_h to be a multiple of heads = 4, received d_h = 10"),
        ({"global_heads": 3}, "expected d_g to be a multiple of global_heads = 3, received d_g"),
        ({"layers": 0}, "expected layers to be 1 or more, received 0"),
        ({"heads": 0}, "expected d_h to be a multiple of heads = 0"),
    ],
)
def test_sizes_that_do_not_fit_are_readable_errors(sizes: dict[str, int], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        models.create("hhsft", LAYOUT, "tiny", sizes)
