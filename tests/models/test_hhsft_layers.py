"""Layers over a few tokens a row, and experts by domain, against numbers worked out by hand."""

from math import e, log

import pytest
import torch
from torch import Tensor

from models.hhsft.experts import DomainExperts
from models.layers.cross_attention import cross_attention
from models.layers.per_token import PerTokenLinear
from models.layers.token_norm import TokenNorm

SILU_1 = 0.7310585786300049
SILU_2 = 2 * 0.8807970779778823


def rows(*values: object) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_each_place_has_its_own_gain_and_bias() -> None:
    # [1, 3]: mean 2, variance 1, normalised [-1, 1].
    norm = TokenNorm(2, width=2, epsilon=0.0).double()
    with torch.no_grad():
        norm.gain[1] = rows(2.0, 3.0)
        norm.bias[1] = rows(10.0, 20.0)
    x = rows([[1.0, 3.0], [1.0, 3.0]])
    assert norm(x).tolist() == [[[-1.0, 1.0], [8.0, 23.0]]]
    assert norm(x[:, :1], slice(1, None)).tolist() == [[[8.0, 23.0]]]


def test_a_tokens_variance_is_its_own() -> None:
    # [0, 4]: centred [-2, 2], variance 4, with ε = 5: ± 2/3.
    norm = TokenNorm(2, width=2, epsilon=5.0).double()
    y = norm(rows([[0.0, 4.0], [100.0, 100.0]]))
    torch.testing.assert_close(y, rows([[-2 / 3, 2 / 3], [0.0, 0.0]]))


@pytest.mark.parametrize("bias", [True, False])
def test_places_choose_the_weights_of_tokens_given_apart(bias: bool) -> None:
    torch.manual_seed(0)
    layer, x = PerTokenLinear(5, 3, 2, bias=bias), torch.randn(4, 5, 3)
    apart = [layer(x[:, :2], slice(2)), layer(x[:, 2:], slice(2, None))]
    torch.testing.assert_close(torch.cat(apart, dim=1), layer(x))


def test_attention_shares_out_values_by_the_softmax_of_scaled_scores_head_by_head() -> None:
    # Two heads of width 4, whose root is 2. Head 1: scores (2 log 3 / 2, 0): shares (3/4, 1/4) of
    # values 4 and 8. Head 2: scores (0, 2 / 2): shares (1, e) / (1 + e) of values 1 and 2. Values
    # stand in the first place of each head.
    q = rows([[2.0, 0, 0, 0, 2.0, 0, 0, 0]])
    k = rows([[log(3), 0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 1.0, 0, 0, 0]])
    v = rows([[4.0, 0, 0, 0, 1.0, 0, 0, 0], [8.0, 0, 0, 0, 2.0, 0, 0, 0]])
    a = cross_attention(q, k, v, heads=2)[:, :, ::4]
    torch.testing.assert_close(a, rows([[5.0, (1 + 2 * e) / (1 + e)]]))


def test_every_query_has_shares_of_its_own() -> None:
    # Width 1: the first query's scores are (log 3, 0), the second's (0, 0).
    q, k, v = rows([[1.0], [0.0]]), rows([[log(3)], [0.0]]), rows([[4.0], [8.0]])
    torch.testing.assert_close(cross_attention(q, k, v, heads=1), rows([[5.0], [6.0]]))


def filled_experts() -> DomainExperts:
    """Expert d: 10^d · SiLU(x + d) + d, for d = 0 and 1."""
    experts = DomainExperts(2, 1, 1, 1).double()
    with torch.no_grad():
        for layer in (experts.first, experts.second):
            layer.bias.copy_(rows([0.0], [1.0]))
        experts.first.weight.fill_(1.0)
        experts.second.weight.copy_(rows([[1.0]], [[10.0]]))
    return experts


def test_a_row_goes_through_its_own_domains_expert() -> None:
    own = filled_experts()(rows([1.0], [1.0], [0.0]), [1, 2])
    torch.testing.assert_close(own, rows([SILU_1], [10 * SILU_2 + 1], [10 * SILU_1 + 1]))


def test_a_row_is_seen_by_every_expert_and_moves_none_of_them() -> None:
    x = rows([1.0], [0.0]).requires_grad_()
    seen = filled_experts().of_all(x)
    torch.testing.assert_close(
        seen, rows([[SILU_1], [10 * SILU_2 + 1]], [[0.0], [10 * SILU_1 + 1]])
    )
    assert not seen.requires_grad
