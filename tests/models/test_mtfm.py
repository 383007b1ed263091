"""MTFM against the dense oracle, and its layers against numbers worked out by hand."""

from dataclasses import replace

import pytest
import torch

import models
from models.batch import Actions
from models.loss import weighted_bce
from models.mtfm import Mtfm, MtfmConfig
from models.mtfm.hybrid import FullLayer, TargetLayer, full_attention
from models.mtfm.plan import TokenPlan, plan_of
from models.tables import TableConfig
from tests.models.builder import LAYOUT, BatchBuilder, UserShape, offsets_of
from tests.models.dense_mtfm import DenseMtfm, dynamic_mask

SILU_1 = 0.7310585786300049
SILU_MINUS_1 = -0.2689414213699951


@pytest.mark.parametrize(
    "sizes",
    [
        {"blocks": 1, "target_layers": 1, "heads": 2, "groups": 1},
        {"blocks": 2, "target_layers": 2, "heads": 4, "groups": 2},
        {"blocks": 1, "target_layers": 3, "heads": 1, "groups": 1},
    ],
)
def test_split_attention_equals_the_dense_masked_oracle(sizes: dict[str, int]) -> None:
    tables = TableConfig(rows=64, std=0.025, kind="hashed")
    config = replace(Mtfm.presets["tiny"], d_model=8, tables=tables, embedding=4, **sizes)
    batch = BatchBuilder(3).batch()
    torch.manual_seed(5)
    model = Mtfm(LAYOUT, config).double()
    shake(model)
    logits = model(batch)
    weighted_bce(logits, batch).backward()

    weights = {k: p.detach().clone().requires_grad_() for k, p in model.named_parameters()}
    expected = DenseMtfm(LAYOUT, config, weights)(batch)
    weighted_bce(expected, batch).backward()

    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-9)
    for name, parameter in model.named_parameters():
        gradient = parameter.grad
        dense = gradient.to_dense() if gradient.is_sparse else gradient
        torch.testing.assert_close(dense, weights[name].grad, rtol=0, atol=1e-9, msg=name)


def shake(model: torch.nn.Module) -> None:
    """Move gains and biases off their neutral initial values, so that a mix-up shows."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)


def figure_2_plan() -> TokenPlan:
    """H1 H2 | R1 at 10, R2 at 20 | T1 at 15, T2 at 20."""
    batch = BatchBuilder(0).batch([UserShape(history=2, recent=2, requests=(1, 1))])
    batch = replace(
        batch,
        recent=replace(batch.recent, time_ms=torch.tensor([10, 20])),
        request_time_ms=torch.tensor([15, 20]),
    )
    return plan_of(batch, len(LAYOUT.actions), len(LAYOUT.scenarios))


FIGURE_2 = [
    [1, 1, 0, 0, 0, 0],  # H1 sees H
    [1, 1, 0, 0, 0, 0],  # H2 sees H
    [1, 1, 0, 0, 0, 0],  # R1 sees H: not itself
    [1, 1, 1, 0, 0, 0],  # R2 sees H, R1
    [1, 1, 1, 0, 1, 0],  # T1 at 15 sees H, R1, itself
    [1, 1, 1, 0, 0, 1],  # T2 at 20 sees H, R1, itself: R2 is no earlier
]


def test_dynamic_mask_of_figure_2() -> None:
    # Score 1 everywhere and one-hot values: row i of A is SiLU(1) · row i of M.
    q_LHd = torch.ones(6, 1, 6)
    kv_L2Gd = torch.stack((torch.full((6, 6), 1 / 6), torch.eye(6)), dim=1)[:, :, None]
    a_LHd = full_attention(q_LHd, kv_L2Gd, figure_2_plan())
    torch.testing.assert_close(a_LHd[:, 0] / SILU_1, torch.tensor(FIGURE_2).float())


def test_oracle_builds_the_mask_of_figure_2() -> None:
    mask = dynamic_mask(["H", "H", "R", "R", "T", "T"], [1, 2, 10, 20, 15, 20])
    assert mask.tolist() == FIGURE_2


def hand_layer(kind: type[FullLayer] | type[TargetLayer]) -> FullLayer | TargetLayer:
    """Width 2, one head; every projection repeats its input and f2 is the identity."""
    config = replace(Mtfm.presets["tiny"], d_model=2, heads=1)
    layer = kind(config, n_streams=2, n_scenarios=3)
    layer.norm_in.epsilon = layer.norm_out.epsilon = 0.0
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            if name.endswith("weight"):
                parameter.copy_(torch.eye(2).repeat(parameter.shape[0] // 2, 1))
            elif name.startswith("f"):
                parameter.zero_()
    return layer


def one_action_one_sample() -> TokenPlan:
    batch = BatchBuilder(0).batch([UserShape(history=1, recent=0, requests=(1,))])
    return plan_of(batch, n_streams=2, n_scenarios=3)


def test_full_layer_by_hand() -> None:
    # GLN([1, -1]) = GLN([2, 0]) = [1, -1]; U = Q = K = V = [SiLU(1), SiLU(-1)].
    # A is a positive multiple of V, so GLN(A) = [1, -1], and X' = X + [SiLU(1), -SiLU(-1)].
    x = torch.tensor([[1.0, -1.0], [2.0, 0.0]])
    expected = torch.tensor([[1 + SILU_1, -1 - SILU_MINUS_1], [2 + SILU_1, -SILU_MINUS_1]])
    torch.testing.assert_close(hand_layer(FullLayer)(x, one_action_one_sample()), expected)


def test_target_layer_by_hand_changes_the_target_only() -> None:
    x = torch.tensor([[1.0, -1.0], [2.0, 0.0]])
    expected = torch.tensor([[1.0, -1.0], [2 + SILU_1, -SILU_MINUS_1]])
    torch.testing.assert_close(hand_layer(TargetLayer)(x, one_action_one_sample()), expected)


def test_attention_is_silu_of_scores_without_division() -> None:
    # score = SiLU(1)² + SiLU(-1)² = 0.606776; SiLU(score) = 0.392709.
    # H sees itself: 0.392709 · V. T sees H and itself: twice that.
    own = torch.tensor([SILU_1, SILU_MINUS_1])
    q_LHd = own.expand(2, 1, 2)
    kv_L2Gd = own.expand(2, 2, 1, 2)
    a_LHd = full_attention(q_LHd, kv_L2Gd, one_action_one_sample())
    expected = torch.stack((own * 0.392709, own * 2 * 0.392709))
    torch.testing.assert_close(a_LHd[:, 0], expected, rtol=0, atol=1e-6)


def test_every_stream_of_h_and_r_and_every_scenario_is_a_group() -> None:
    batch = BatchBuilder(0).batch([UserShape(history=2, recent=2, requests=(1,))])
    batch = replace(
        batch,
        history=with_streams(batch.history, [0, 1]),
        recent=with_streams(batch.recent, [1, 0]),
        scenario=torch.tensor([2]),
    )
    plan = plan_of(batch, n_streams=2, n_scenarios=3)
    assert plan.group.tolist() == [0, 1, 3, 2, 6]


def with_streams(actions: Actions, streams: list[int]) -> Actions:
    return replace(actions, action=torch.tensor(streams), offsets=offsets_of([len(streams)]))


def test_actions_count_their_own_rows_scaled() -> None:
    # Action rows of 1 scaled by 0.25 and sample rows of 1: tokens of H and T before their MLPs.
    config = replace(Mtfm.presets["tiny"], sequence_scale=0.25)
    tokenizer = Mtfm(LAYOUT, config).tokenizer.eval()
    batch = BatchBuilder(0).batch([UserShape(history=2, recent=0, requests=(1,))])
    with torch.no_grad():
        for tables in (tokenizer.actions, tokenizer.samples):
            for table in tables.by_name.values():
                table.weight.fill_(1.0)
    assert torch.equal(tokenizer._actions(batch.history), torch.full((2, 24), 0.25))
    plan = plan_of(batch, n_streams=2, n_scenarios=3)
    assert torch.equal(tokenizer._samples(batch, plan)[:, -8:], torch.ones(1, 8))


def test_scenarios_start_alike_and_streams_do_not() -> None:
    model = Mtfm(LAYOUT, Mtfm.presets["tiny"])
    shared = [model.tokenizer.scenarios, model.heads.gate, model.heads.towers]
    weights = [p for part in shared for p in part.parameters()]
    assert all(torch.equal(p[0], p[1]) for p in weights)
    assert not torch.equal(*model.tokenizer.streams.first.weight[:2])


def test_a_new_block_is_almost_the_identity() -> None:
    batch = BatchBuilder(0).batch()
    model = Mtfm(LAYOUT, Mtfm.presets["tiny"])
    plan = plan_of(batch, len(LAYOUT.actions), len(LAYOUT.scenarios))
    x, _ = model.tokenizer(batch, plan)
    for layer in model.layers:
        assert (layer(x, plan) - x).abs().max() < 0.05 * x.abs().max()


def test_heads_that_do_not_divide_the_width_are_refused() -> None:
    with pytest.raises(models.ModelError, match="multiple of heads = 3, received d_model = 16"):
        models.create("mtfm", LAYOUT, "tiny", {"heads": 3})


def test_paper_preset_has_the_paper_sizes() -> None:
    config: MtfmConfig = Mtfm.presets["paper"]
    assert (config.d_model, config.blocks, config.target_layers) == (768, 4, 3)
    assert (config.heads, config.groups) == (3, 1)


def test_recomputed_layers_give_equal_gradients_and_keep_a_fraction() -> None:
    batch = BatchBuilder(3).batch()
    gradients, kept = [], []
    for recompute in (False, True):
        model = models.create("mtfm", LAYOUT, "tiny", {"blocks": 4, "recompute": recompute})
        sizes: list[int] = []

        def count(x: torch.Tensor, sizes: list[int] = sizes) -> torch.Tensor:
            sizes.append(x.numel())
            return x

        with torch.autograd.graph.saved_tensors_hooks(count, lambda x: x):
            loss = weighted_bce(model(batch), batch)
        loss.backward()
        gradients.append([p.grad.to_dense() for p in model.parameters()])
        kept.append(sum(sizes))
    for plain, recomputed in zip(*gradients, strict=True):
        torch.testing.assert_close(recomputed, plain, rtol=0, atol=1e-7)
    assert kept[1] < kept[0] / 3
