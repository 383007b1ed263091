"""The slow MDL against numbers worked out by hand."""

from math import e, exp, log, sqrt

import pytest
import torch
from torch import Tensor

from tests.references import mdl
from tests.references.mdl import Reading, Sample


def vector(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def matrix(*rows: tuple[float, ...]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def close(actual: Tensor, *expected: float) -> None:
    torch.testing.assert_close(actual, vector(*expected), rtol=0, atol=1e-12)


def test_a_feature_token_is_a_projection_of_its_group() -> None:
    weights = {"proj.1.W": matrix((1, 2), (3, 4), (5, 6)), "proj.1.b": vector(10, 20)}
    # (1·1 + 0·3 + 2·5 + 10, 1·2 + 0·4 + 2·6 + 20)
    close(mdl.feature_token(vector(1, 0, 2), 1, weights), 21, 34)


def test_a_domain_token_is_cut_at_zero_after_its_own_ffn() -> None:
    weights = {
        "ffn_s.0.W1": matrix((1, -1)),
        "ffn_s.0.b1": vector(0, 0),
        "ffn_s.0.W2": matrix((1, -1), (1, 1)),
        "ffn_s.0.b2": vector(0, 0.5),
        "ffn_s.1.W1": matrix((2, -2)),
        "ffn_s.1.b1": vector(1, 1),
    }
    reading = Reading(blocks=1, heads=1, activation=torch.relu)
    one, two = mdl.domain_tokens("ffn_s", [vector(3), vector(4)], weights, reading)
    close(one, 3, 0)  # hidden relu(3, -3) = (3, 0) → (3, -3 + 0.5) → cut at 0
    close(two, 9, 0)  # one layer: (8 + 1, -8 + 1) → cut at 0


def test_token_mixing_hands_piece_h_of_every_token_to_token_h() -> None:
    mixed = mdl.token_mixing([vector(1, 2, 3, 4), vector(5, 6, 7, 8)])
    close(mixed[0], 1, 2, 5, 6)
    close(mixed[1], 3, 4, 7, 8)


@pytest.mark.parametrize("residual", [False, True])
def test_feature_tokens_are_mixed_and_added_then_normalised_then_sent_through_ffn(
    residual: bool,
) -> None:
    weights = {"0.norm.gain": vector(2, 1), "0.norm.bias": vector(0, 1)}
    for j, scale in enumerate((1.0, 10.0)):
        weights |= {
            f"0.ffn_f.{j}.W1": matrix((scale, 0), (0, scale)),
            f"0.ffn_f.{j}.b1": vector(0, 0),
            f"0.ffn_f.{j}.W2": matrix((1, 0), (0, 1)),
            f"0.ffn_f.{j}.b2": vector(0, 0.25),
        }
    reading = Reading(1, 1, activation=torch.relu, feature_residual=residual, epsilon=3.0)
    # Mixed (1, 5), (3, 3); added (2, 8), (8, 6). Centred (-3, 3), (1, -1); variance 9, 1, and
    # with epsilon 3: √12, 2. Gain and bias: (-6/√12, 3/√12 + 1), (1, 0.5).
    one, two = mdl.feature_tokens_after([vector(1, 3), vector(5, 3)], 0, weights, reading)
    normal = (vector(-6 / sqrt(12), 3 / sqrt(12) + 1), vector(1, 0.5))
    close(one - normal[0] * residual, 0, 3 / sqrt(12) + 1.25)
    close(two - normal[1] * residual, 10, 5.25)


def test_gain_and_bias_may_be_each_tokens_own() -> None:
    weights = {"0.norm.gain": matrix((1, 1), (2, 2)), "0.norm.bias": matrix((0, 0), (1, 1))}
    close(mdl.layer_norm(vector(0, 2), 1, "0.norm", weights, 0.0), -1, 3)


def test_domain_aware_attention_has_a_query_of_its_own_and_keys_and_values_by_feature() -> None:
    weights = {
        "a.WQ.2": matrix((1, 0), (0, 1)),
        "a.WK.0": matrix((log(2), 0)),
        "a.WK.1": matrix((0, 1)),
        "a.WV.0": matrix((1, 100)),
        "a.WV.1": matrix((4, 400)),
        "a.bV.1": vector(0, 8),
    }
    # Two heads of width 1, so √d = 1. Head 1: scores (log 2, 0), shares (2/3, 1/3) of values
    # (1, 4). Head 2: scores (0, 1), shares (1, e) / (1 + e) of values (100, 408).
    seen = mdl.domain_aware_attention(
        vector(1, 1), 2, [vector(1), vector(1)], "a", weights, heads=2
    )
    close(seen, 2.0, (100 + 408 * e) / (1 + e))


def test_scores_are_divided_by_the_root_of_a_heads_width() -> None:
    weights = {
        "a.WQ.0": torch.eye(4, dtype=torch.float64),
        "a.WK.0": torch.eye(4, dtype=torch.float64),
        "a.WK.1": torch.zeros(4, 4, dtype=torch.float64),
        "a.WV.0": torch.ones(4, 1, dtype=torch.float64),
        "a.WV.1": torch.zeros(4, 1, dtype=torch.float64),
    }
    token = vector(1, 1, 1, 1)
    seen = mdl.domain_aware_attention(token, 0, [token, token], "a", weights, heads=1)
    close(seen, 4 * exp(2) / (exp(2) + 1))  # score 4 / √4 = 2 against 0, value 4 against 0


def test_the_token_itself_is_added_to_what_it_attends_to() -> None:
    weights = {"0.attn_t.WQ.0": matrix((1,)), "0.attn_t.WK.0": matrix((1,))}
    weights["0.attn_t.WV.0"] = matrix((5,))
    (seen,) = mdl.attended("attn_t", [vector(3)], [vector(2)], 0, weights, Reading(1, 1))
    close(seen, 13)  # one feature has all the share: 2·5, and 3


@pytest.mark.parametrize(
    ("scenarios", "expected"),
    [([], 30.0), ([0], 16.0), ([1], 19.0), ([1, 0], 40 / 3), ([1, 1], 19)],
)
def test_own_scenarios_and_the_global_one_are_averaged_each_once(
    scenarios: list[int], expected: float
) -> None:
    tokens = [vector(2), vector(8), vector(30)]
    close(mdl.selected_mean(tokens, scenarios), expected)


def test_the_average_is_added_to_every_task_token() -> None:
    fused = mdl.domain_fused([vector(1), vector(2)], [vector(2), vector(8), vector(30)], [1])
    close(fused[0], 20)
    close(fused[1], 21)


def test_ffn_of_domain_tokens_has_a_residual() -> None:
    weights = {"3.ffn_s.0.W1": matrix((-2,)), "3.ffn_s.0.b1": vector(1)}
    weights |= {"3.ffn_s.0.W2": matrix((5,)), "3.ffn_s.0.b2": vector(0.5)}
    reading = Reading(blocks=4, heads=1, activation=torch.square)
    (after,) = mdl.with_ffn("ffn_s", [vector(2)], 3, weights, reading)
    close(after, 47.5)  # (-4 + 1)² · 5 + 0.5, and 2


def test_a_logit_reads_its_own_task_token() -> None:
    weights = {"logits.1.w": vector(2, -1), "logits.1.b": torch.tensor(0.5).double()}
    assert mdl.logit(vector(3, 4), 1, weights).item() == 2.5


def drawn(names: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(5)
    return {
        name: (torch.randn(shape, generator=generator).double() / 3).requires_grad_()
        for name, shape in names.items()
    }


def shapes(n_f: int, n_s: int, n_t: int, blocks: int, d: int) -> dict[str, tuple[int, ...]]:
    """Shapes of all weights, inputs being of width 3 and feature tokens as wide as the others."""
    ffn = {"W1": (d, 5), "b1": (5,), "W2": (5, d), "b2": (d,)}
    first = ffn | {"W1": (3, 5)}
    names: dict[str, tuple[int, ...]] = {}
    for j in range(n_f):
        names |= {f"proj.{j}.W": (3, d), f"proj.{j}.b": (d,)}
    for name, count in (("ffn_s", n_s + 1), ("ffn_t", n_t)):
        names |= {f"{name}.{i}.{part}": s for i in range(count) for part, s in first.items()}
    for block in range(blocks):
        names |= {f"{block}.norm.{part}": (d,) for part in ("gain", "bias")}
        names |= {f"{block}.ffn_f.{j}.{part}": s for j in range(n_f) for part, s in ffn.items()}
        names |= {f"{block}.ffn_t.{n}.{part}": s for n in range(n_t) for part, s in ffn.items()}
        if block < blocks - 1:
            names |= {
                f"{block}.ffn_s.{s}.{part}": w for s in range(n_s + 1) for part, w in ffn.items()
            }
        for name, count in (("attn_s", n_s + 1), ("attn_t", n_t)):
            names |= {f"{block}.{name}.WQ.{i}": (d, d) for i in range(count)}
            names |= {f"{block}.{name}.W{kv}.{j}": (d, d) for kv in "KV" for j in range(n_f)}
    for n in range(n_t):
        names |= {f"logits.{n}.w": (d,), f"logits.{n}.b": ()}
    return names


def sample_of(scenarios: list[int], n_f: int, n_s: int, n_t: int) -> Sample:
    generator = torch.Generator().manual_seed(9)
    x = torch.randn(n_f + n_s + 1 + n_t, 3, dtype=torch.float64, generator=generator).unbind()
    return Sample(x[:n_f], x[n_f : n_f + n_s + 1], x[n_f + n_s + 1 :], scenarios)


@pytest.mark.parametrize("scenarios", [[], [1], [0, 2]])
def test_a_sample_moves_weights_of_its_own_scenarios_the_global_one_and_shared_ones_alone(
    scenarios: list[int],
) -> None:
    weights = drawn(shapes(n_f=2, n_s=3, n_t=2, blocks=2, d=8))
    logits = mdl.mdl([sample_of(scenarios, 2, 3, 2)], weights, Reading(blocks=2, heads=2))
    assert logits.shape == (1, 2)
    logits.sum().backward()
    still = {name for name, w in weights.items() if w.grad is None or not w.grad.norm() > 0}
    others = [s for s in range(3) if s not in scenarios]
    marks = [f"ffn_s.{s}." for s in others] + [f"attn_s.WQ.{s}" for s in others]
    assert still == {name for name in weights if any(mark in name for mark in marks)}


def test_samples_are_scored_one_by_one() -> None:
    weights = drawn(shapes(n_f=2, n_s=2, n_t=1, blocks=1, d=4))
    samples = [sample_of([0], 2, 2, 1), sample_of([1], 2, 2, 1)]
    reading = Reading(blocks=1, heads=1)
    both = mdl.mdl(samples, weights, reading)
    assert torch.equal(both[1], mdl.mdl(samples[1:], weights, reading)[0])
    assert not torch.equal(both[0], both[1])
