"""Token mixing, cross-attention, split layers and target attention, by hand."""

import math

import torch
from torch import nn

from models.layers.actions import ActionEmbedder, TargetAttention
from models.layers.cross_attention import attention_weights, cross_attention
from models.layers.grouped import GroupedLinear, GroupedMlp, Grouping
from models.layers.padding import blocks_of, padding_of
from models.layers.split_linear import SplitLinear
from models.layers.token_mixing import token_mixing
from models.tables import HashedTable, Tables
from tests.models.builder import LAYOUT, BatchBuilder, offsets_of

LOG_3 = math.log(3)


def test_token_h_of_the_mixed_ones_is_piece_h_of_every_token() -> None:
    x = torch.tensor([[[1, 2, 3, 4, 5, 6], [10, 20, 30, 40, 50, 60], [7, 8, 9, 70, 80, 90]]])
    assert token_mixing(x)[0].tolist() == [
        [1, 2, 10, 20, 7, 8],
        [3, 4, 30, 40, 9, 70],
        [5, 6, 50, 60, 80, 90],
    ]


def test_cross_attention_splits_heads_and_scales_by_a_heads_width() -> None:
    # Width 8, 2 heads of 4. Head 0: score 2 log 3 / √4 = log 3 and 0: shares 3/4, 1/4. Head 1:
    # scores 0 and 0.
    q = torch.zeros(1, 1, 8)
    q[0, 0, 0] = 2 * LOG_3
    k = torch.zeros(1, 2, 8)
    k[0, 0, 0] = 1.0
    v = torch.stack((torch.full((8,), 4.0), torch.full((8,), 8.0)))[None]
    mixed, weights = cross_attention(q, k, v, heads=2), attention_weights(q, k, heads=2)
    torch.testing.assert_close(weights[0, :, 0], torch.tensor([[0.75, 0.25], [0.5, 0.5]]))
    torch.testing.assert_close(mixed[0, 0], torch.tensor([5.0] * 4 + [6.0] * 4))


def test_split_layer_equals_one_layer_over_both_parts() -> None:
    layer = SplitLinear(2, 3, 4)
    request, sample = torch.randn(2, 2), torch.randn(5, 3)
    sample_request = torch.tensor([0, 0, 1, 1, 1])
    whole = torch.cat((request[sample_request], sample), dim=1)
    expected = nn.functional.linear(whole, layer.weight, layer.bias)
    torch.testing.assert_close(layer(request, sample, sample_request), expected)


def test_split_layer_may_have_one_part_only() -> None:
    sample_request = torch.tensor([0, 0, 1])
    request, sample = torch.randn(2, 2), torch.randn(3, 2)
    for layer, parts, x in (
        (SplitLinear(2, 0, 4), (request, None), request[sample_request]),
        (SplitLinear(0, 2, 4), (None, sample), sample),
    ):
        expected = nn.functional.linear(x, layer.weight, layer.bias)
        torch.testing.assert_close(layer(*parts, sample_request), expected)


def test_grouped_layer_may_have_no_bias() -> None:
    layer = GroupedLinear(2, inner=1, outer=1, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([2.0, 3.0]).view(2, 1, 1))
    assert layer(torch.tensor([[1.0], [1.0]]), [1, 1]).flatten().tolist() == [2.0, 3.0]
    assert [name for name, _ in layer.named_parameters()] == ["weight"]


def test_grouped_mlp_of_sorted_rows_skips_the_sorting_only() -> None:
    layer = GroupedMlp(3, 2, 4, 2)
    group = torch.tensor([2, 0, 2, 1])
    grouping, x = Grouping.of(group, 3), torch.randn(4, 2)
    of_sorted = layer.of_sorted(grouping.sort(x), grouping.counts)
    assert torch.equal(grouping.restore(of_sorted), layer(x, grouping))


def test_target_attention_by_hand() -> None:
    # E = 4, so scores are halved. Of three actions of user 0 sample 0 sees two: scores 1 and -1,
    # values 2 and 4; sample 1 sees none; user 1 has no action.
    layer = TargetAttention(inner=1, dim=4)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
        layer.query.weight[0, 0] = 2.0
        layer.key_value.weight[0, 0] = 1.0
        layer.key_value.weight[4, 1] = 1.0
    z = torch.tensor([[1.0, 2.0, 0.0, 0.0], [-1.0, 4.0, 0.0, 0.0], [9.0, 9.0, 9.0, 9.0]])
    sources, targets = offsets_of([3, 0]), offsets_of([2, 1])
    blocks = blocks_of(sources.diff(), targets.diff())
    places = [padding_of(blocks, offsets) for offsets in (targets, sources)]
    y = layer(torch.ones(3, 1), z, *places, torch.tensor([2, 0, 0]))
    silu_1 = 1 / (1 + math.exp(-1))
    expected = torch.zeros(3, 4)
    expected[0, 0] = (silu_1 * 2 + (silu_1 - 1) * 4) / 2
    torch.testing.assert_close(y, expected)


def test_an_action_is_the_sum_of_its_vectors() -> None:
    # Rows of 1 in all tables, stream vectors of 10 and 20: item, author and tags count 1 each.
    embedder = ActionEmbedder(LAYOUT, 2)
    tables = Tables(LAYOUT, lambda: HashedTable(8, 2, 0.0))
    with torch.no_grad():
        for parameter in tables.parameters():
            parameter.fill_(1.0)
        embedder.stream.weight.copy_(torch.tensor([[10.0, 10.0], [20.0, 20.0]]))
    actions = BatchBuilder(0).batch().history
    expected = 3.0 + 10.0 * (actions.action + 1)
    assert torch.equal(embedder(tables, actions), expected[:, None].expand(-1, 2))
