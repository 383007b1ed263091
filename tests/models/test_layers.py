"""Each layer against numbers worked out by hand."""

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.batch import IdLists, Ids, Numbers
from models.layers.attention import self_attention, silu_attention
from models.layers.embedder import FeatureEmbedder, pooled, projected
from models.layers.group_norm import GroupLayerNorm
from models.layers.grouped import GroupedLinear, GroupedMlp, Grouping
from models.layers.mmoe import MmoeHeads
from models.layers.padding import blocks_of, padding_of
from models.layers.per_token import PerTokenFfn, PerTokenLinear
from models.layers.pooling import runs_of
from models.layers.visibility import earlier_actions
from models.layout import FeatureField, Layout
from models.tables import HashedTable, Tables
from tests.models.builder import BatchBuilder, UserShape, offsets_of

SILU_1 = 0.7310585786300049


def test_group_norm_uses_each_groups_gain_and_bias() -> None:
    # [1, 3]: mean 2, variance 1, normalised [-1, 1].
    norm = GroupLayerNorm(2, width=2, epsilon=0.0)
    with torch.no_grad():
        norm.gain[1] = torch.tensor([2.0, 3.0])
        norm.bias[1] = torch.tensor([10.0, 20.0])
    y = norm(torch.tensor([[1.0, 3.0], [1.0, 3.0]]), torch.tensor([0, 1]))
    assert y.tolist() == [[-1.0, 1.0], [8.0, 23.0]]


def test_heads_share_keys_by_group() -> None:
    # H = 4, G = 2, r = 2: heads 1, 2 read group ⌈h / 2⌉ = 1, heads 3, 4 group 2.
    # q · k = h · g and v = 1, so head h gives SiLU(h · g).
    q = torch.tensor([1.0, 2.0, 3.0, 4.0]).view(1, 1, 4, 1)
    k = torch.tensor([1.0, -1.0]).view(1, 1, 2, 1)
    expected = torch.nn.functional.silu(torch.tensor([1.0, 2.0, -3.0, -4.0]))
    a = silu_attention(q, k, torch.ones_like(k))
    torch.testing.assert_close(a.flatten(), expected)
    own = self_attention(q[0], k[0], torch.ones_like(k[0]))
    torch.testing.assert_close(own.flatten(), expected)


def test_query_sees_only_its_first_keys() -> None:
    # Scores 1, values 1, 10, 100: queries that see 0, 1 and 2 keys.
    q, k = torch.ones(1, 3, 1, 1), torch.ones(1, 3, 1, 1)
    v = torch.tensor([1.0, 10.0, 100.0]).view(1, 3, 1, 1)
    a = silu_attention(q, k, v, torch.tensor([[0, 1, 2]]))
    torch.testing.assert_close(a.flatten(), SILU_1 * torch.tensor([0.0, 1.0, 11.0]))


def test_actions_at_the_same_millisecond_are_not_earlier() -> None:
    recent = BatchBuilder(0).batch([UserShape(0, 3, (1,)), UserShape(0, 2, (1,))]).recent
    actions = type(recent)(
        offsets_of([3, 0, 2]),
        torch.tensor([10, 20, 20, 5, 30]),
        recent.item,
        recent.action,
        recent.scenario,
        recent.features,
    )
    user = torch.tensor([0, 0, 0, 0, 1, 2, 2, 2])
    time_ms = torch.tensor([9, 10, 20, 21, 99, 0, 6, 10**15])
    assert earlier_actions(actions, user, time_ms).tolist() == [0, 0, 1, 3, 0, 0, 1, 2]


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 20)), min_size=1, max_size=12))
def test_padding_and_unpadding_is_the_identity(lengths: list[tuple[int, int]]) -> None:
    history, late = (torch.tensor(part) for part in zip(*lengths, strict=True))
    blocks = blocks_of(history, late)
    for counts in (history, late):
        padding = padding_of(blocks, offsets_of(counts.tolist()))
        x = torch.arange(1.0, 1 + int(counts.sum()))[:, None]
        padded = padding.pad(x)
        assert torch.equal(padding.unpad(padded), x)
        assert sum(float(block.sum()) for block in padded) == float(x.sum())


def test_users_of_a_block_have_like_lengths_of_both_kinds() -> None:
    # Classes of history: ≤ 16, ≤ 32, ≤ 64; of the rest: ≤ 8, ≤ 32.
    history = torch.tensor([16, 60, 0, 17, 40, 12])
    late = torch.tensor([8, 1, 2, 3, 7, 9])
    blocks = blocks_of(history, late)
    assert blocks.order.tolist() == [0, 2, 5, 3, 1, 4]
    assert blocks.sizes == (2, 1, 1, 2)


def test_grouped_layer_uses_each_groups_weights() -> None:
    layer = GroupedLinear(3, inner=1, outer=1)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([1.0, 10.0, 100.0]).view(3, 1, 1))
        layer.bias.zero_()
    grouping = Grouping.of(torch.tensor([2, 0, 2]), 3)
    x = torch.tensor([[1.0], [2.0], [3.0]])
    y = grouping.restore(layer(grouping.sort(x), grouping.counts))
    assert y.flatten().tolist() == [100.0, 2.0, 300.0]


def test_grouped_mlp_of_no_rows_is_empty() -> None:
    grouping = Grouping.of(torch.zeros(0, dtype=torch.int64), 2)
    assert GroupedMlp(2, 3, 4, 5)(torch.zeros(0, 3), grouping).shape == (0, 5)


def table_of(rows: Sequence[float]) -> HashedTable:
    """A table of width 1 whose row 0, *missing*, and others hold these numbers."""
    table = HashedTable(rows=len(rows) - 1, dim=1, std=1.0)
    with torch.no_grad():
        table.weight.copy_(torch.tensor(rows)[:, None])
    return table


def test_list_is_the_mean_of_its_rows_and_an_empty_one_is_missing() -> None:
    column = IdLists(torch.tensor([0, 1, 1]), offsets_of([2, 0, 1]))
    assert pooled(table_of([7.0, 1.0, 2.0]), column).flatten().tolist() == [1.5, 7.0, 2.0]


def test_number_is_a_signed_log_and_missing_is_not_zero() -> None:
    # weight rows: slope 2, bias 1, missing 5; log(1 + (e - 1)) = 1.
    e = 2.718281828459045
    column = Numbers(
        torch.tensor([e - 1, 1 - e, 0.0, 0.0]), torch.tensor([True, True, True, False])
    )
    row = projected(column, torch.tensor([[2.0], [1.0], [5.0]]))
    torch.testing.assert_close(row.flatten(), torch.tensor([3.0, -1.0, 1.0, 5.0]))


def test_a_missing_number_has_no_value_to_read() -> None:
    column = Numbers(torch.tensor([float("nan")]), torch.tensor([False]))
    assert projected(column, torch.ones(3, 2)).tolist() == [[1.0, 1.0]]


def test_missing_id_differs_from_every_id() -> None:
    fields = (
        FeatureField("type", "id", "type", "user"),
        FeatureField("items", "number", "", "user"),
    )
    layout = Layout(("s",), ("d",), ("t",), ("a",), ("a",), fields, (), ())
    embedder = FeatureEmbedder(fields, dim=4)
    tables = Tables(layout, lambda: HashedTable(rows=8, dim=4, std=1.0))
    columns = {
        "type": Ids(torch.tensor([0, 0]), torch.tensor([True, False])),
        "items": Numbers(torch.zeros(2), torch.tensor([True, False])),
    }
    for row in embedder(tables, columns):
        assert not torch.equal(row[0], row[1])


@pytest.mark.parametrize("scenario", [0, 1])
def test_mmoe_mixes_experts_by_the_gate_of_scenario_and_task(scenario: int) -> None:
    heads = MmoeHeads(1, scenarios=2, tasks=2, experts=2, expert_width=1)
    with torch.no_grad():
        for parameter in heads.parameters():
            parameter.zero_()
        # Experts give SiLU(1) and SiLU(2); a gate of ±∞ picks one; a tower is m · w + b.
        heads.experts.bias.copy_(torch.tensor([1.0, 2.0]))
        heads.gate.bias[0] = torch.tensor([99.0, -99.0, -99.0, 99.0])
        heads.gate.bias[1] = torch.tensor([0.0, 0.0, -99.0, 99.0])
        heads.towers.out.copy_(torch.tensor([[1.0, 2.0], [3.0, 4.0]]).view(2, 2, 1, 1))
        heads.towers.out_bias.fill_(0.5)
    logits = heads(torch.zeros(1, 1), Grouping.of(torch.tensor([scenario]), 2))
    silu = torch.nn.functional.silu
    first, second = silu(torch.tensor([1.0, 2.0]))
    mixed = [(first, second), ((first + second) / 2, second)][scenario]
    towers = [(1.0, 2.0), (3.0, 4.0)][scenario]
    expected = [m * w + 0.5 for m, w in zip(mixed, towers, strict=True)]
    torch.testing.assert_close(logits, torch.stack(expected)[None])


def test_runs_are_pooled_to_their_mean_and_an_empty_run_to_zero() -> None:
    x = torch.tensor([[1.0], [3.0], [8.0], [100.0]])
    first, count = torch.tensor([0, 3, 1, 0]), torch.tensor([3, 0, 2, 1])
    assert runs_of(first, count).mean(x).flatten().tolist() == [4.0, 0.0, 5.5, 1.0]


def test_means_by_group_leave_out_rows_of_no_group() -> None:
    x = torch.tensor([[1.0], [2.0], [6.0], [9.0]])
    first, count = torch.tensor([0, 1, 2, 3]), torch.tensor([3, 2, 0, 1])
    group = torch.tensor([1, 0, 1, -1])
    by_group = runs_of(first, count).by_group(group, 2).mean(x)
    # Run 0 holds 1, 2, 6 of groups 1, 0, 1; run 1 holds 2, 6; runs 2 and 3 none.
    assert by_group.view(4, 2).tolist() == [[2.0, 3.5], [2.0, 6.0], [0.0, 0.0], [0.0, 0.0]]


def test_per_token_layers_by_hand() -> None:
    linear = PerTokenLinear(tokens=2, inner=2, outer=1)
    with torch.no_grad():
        linear.weight.copy_(torch.tensor([[[1.0], [2.0]], [[-1.0], [0.5]]]))
        assert linear.bias is not None
        linear.bias.copy_(torch.tensor([[[0.5]], [[1.0]]]))
    x = torch.tensor([[[1.0, 1.0], [2.0, 4.0]]])
    assert linear(x).flatten().tolist() == [3.5, 1.0]  # 1 + 2 + 0.5; -2 + 2 + 1


def test_per_token_feed_forward_equals_one_network_a_token() -> None:
    ffn = PerTokenFfn(tokens=3, inner=4, hidden=5, outer=2)
    x = torch.randn(7, 3, 4)
    for token in range(3):
        alone = torch.nn.functional.silu(
            x[:, token] @ ffn.first.weight[token] + ffn.first.bias[token]
        )
        alone = alone @ ffn.second.weight[token] + ffn.second.bias[token]
        torch.testing.assert_close(ffn(x)[:, token], alone)
