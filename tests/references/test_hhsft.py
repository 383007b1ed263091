"""The reference of HHSFT against numbers worked out by hand."""

import math

import pytest
import torch
from torch import Tensor

from tests.references.hhsft import HhsftReference, loss

LN3 = math.log(3)


def f64(values: object) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def model(weights: dict[str, Tensor], **options: object) -> HhsftReference:
    sizes: dict[str, object] = {
        "layers": 1,
        "global_layers": 1,
        "global_tokens": 2,
        "n_domains": 2,
        "norm": "none",
    }
    return HhsftReference(weights, **(sizes | options))  # type: ignore[arg-type]


def test_each_token_has_projections_of_its_own_in_equation_1() -> None:
    # q = (ln 3, 0), k = (1, 0), v = (4, 8): token 0 gives 3/4 to itself, token 1 halves.
    weights = {
        "hfa.0.0.W_Q": f64([[LN3]]),
        "hfa.0.1.W_Q": f64([[0.0]]),
        "hfa.0.0.W_K": f64([[1.0]]),
        "hfa.0.1.W_K": f64([[0.0]]),
        "hfa.0.0.W_V": f64([[4.0]]),
        "hfa.0.1.W_V": f64([[4.0]]),
    }
    a = model(weights).token_attention(0, [f64([1.0]), f64([2.0])])
    assert [float(x) for x in a] == pytest.approx([0.75 * 4 + 0.25 * 8, 6.0])


def test_each_global_token_reads_all_tokens_in_equation_2() -> None:
    # z = (1, 2). q_0 = ln 3, q_1 = 0; k_0 = 1 + 2 = 3, k_1 = 2; v_0 = 1, v_1 = 2.
    weights = {
        "gfa.0.0.W_Q": f64([[LN3], [0.0]]),
        "gfa.0.1.W_Q": f64([[0.0], [0.0]]),
        "gfa.0.0.W_K": f64([[1.0], [1.0]]),
        "gfa.0.1.W_K": f64([[0.0], [1.0]]),
        "gfa.0.0.W_V": f64([[1.0], [0.0]]),
        "gfa.0.1.W_V": f64([[0.0], [1.0]]),
    }
    a = model(weights).composite_attention(0, f64([1.0, 2.0]))
    assert [float(x) for x in a] == pytest.approx([0.75 * 1 + 0.25 * 2, 1.5])


def test_the_gate_mixes_the_shared_and_the_own_expert_in_equations_3_and_4() -> None:
    weights = {
        "dref.gate.W0": f64([[LN3, 0.0]]),
        "dref.shared.W0": f64([[2.0]]),
        "dref.0.W0": f64([[10.0]]),
        "dref.1.W0": f64([[20.0]]),
    }
    z = f64([1.0])
    assert float(model(weights).routed(z, 0)) == pytest.approx(0.75 * 2 + 0.25 * 10)
    assert float(model(weights).routed(z, 1)) == pytest.approx(0.75 * 2 + 0.25 * 20)


def domain_attention(own_twice: bool) -> tuple[Tensor, dict[str, Tensor]]:
    # o = (1, 2); own is 0: q = ln 3, K = (1, 2), V = (5, 10).
    weights = {
        "dapga.0.W0": f64([[1.0]]).requires_grad_(),
        "dapga.1.W0": f64([[2.0]]).requires_grad_(),
        "dapga.W_Q": f64([[LN3]]),
        "dapga.W_K": f64([[1.0]]),
        "dapga.W_V": f64([[5.0]]),
    }
    o = model(weights, own_twice=own_twice).attended(f64([1.0]), 0)
    return o, weights


def test_the_own_output_asks_all_domains_in_equations_5_and_6() -> None:
    # Scores ln 3 and 2 ln 3: shares 3/12 and 9/12; read to the letter 3/15, 3/15 and 9/15.
    assert domain_attention(own_twice=False)[0].item() == pytest.approx(0.25 * 5 + 0.75 * 10)
    assert domain_attention(own_twice=True)[0].item() == pytest.approx(0.4 * 5 + 0.6 * 10)


def test_the_gradient_of_another_domains_expert_is_stopped() -> None:
    o, weights = domain_attention(own_twice=False)
    o.backward()
    assert weights["dapga.1.W0"].grad is None
    # d/dw of 5 w s + 10 (1 - s), s = 1 / (1 + exp(w ln 3 (2 - w))) with w twice (query and key):
    # the score gap is w ln 3 (2 - w), whose slope at w = 1 is 0, so only the value moves: 5 / 4.
    assert float(weights["dapga.0.W0"].grad) == pytest.approx(1.25)


def test_the_gate_of_user_and_domain_scales_the_output_in_equations_7_and_8() -> None:
    weights = {
        "dapga.W": f64([[LN3], [1.0]]),
        "dapga.b": f64([1.0]),
        "dref.gate.W0": f64([[0.0, 0.0]]),
        "dref.shared.W0": f64([[1.0]]),
        "dref.0.W0": f64([[1.0]]),
        "dapga.0.W0": f64([[1.0]]),
        "dapga.W_Q": f64([[1.0]]),
        "dapga.W_K": f64([[1.0]]),
        "dapga.W_V": f64([[1.0]]),
        "head.0.W0": f64([[1.0, -2.0]]),
    }
    reference = model(weights, n_domains=1)
    assert float(reference.gate(f64([1.0]), f64([-1.0]))) == pytest.approx(0.75)
    logits = reference.fusion(f64([8.0]), 0, f64([1.0]), f64([-1.0]))
    assert logits.tolist() == pytest.approx([6.0, -12.0])


@pytest.mark.parametrize(
    ("norm", "expected"),
    [
        ("none", [2.0, 4.0]),
        ("pre", [1.0 - 1 - 2, 3.0 + 1 + 2]),
        ("post", [-1.0, 1.0]),
    ],
)
def test_residuals_and_norms_stand_where_the_option_says(norm: str, expected: list[float]) -> None:
    # One token of width 2, so attention gives its own value, h; FFN doubles.
    # none: 2 h with h = (1, 2). pre: h + LN(h) + 2 LN(...), with h = (1, 3). post: of (1, 3).
    eye, n = torch.eye(2, dtype=torch.float64), torch.ones(1, 2, dtype=torch.float64)
    weights = {f"hfa.0.0.W_{part}": eye for part in "QKV"} | {"hfa.0.0.ffn.W0": 2 * eye}
    for place in ("norm1", "norm2"):
        weights |= {f"hfa.0.{place}.gain": n, f"hfa.0.{place}.bias": 0 * n}
    h = f64([1.0, 2.0]) if norm == "none" else f64([1.0, 3.0])
    (token,) = model(weights, norm=norm).heterogeneous(0, [h])
    assert token.tolist() == pytest.approx(expected, abs=1e-4)


def test_heads_attend_apart() -> None:
    # Width 2, two heads of width 1: head 0 gives 3/4 to the first, head 1 halves.
    eye = torch.eye(2, dtype=torch.float64)
    weights = {f"hfa.0.{i}.W_{part}": eye for i in range(2) for part in "KV"}
    weights |= {f"hfa.0.{i}.W_Q": f64([[LN3, 0.0], [0.0, 0.0]]) for i in range(2)}
    a = model(weights, heads=2).token_attention(0, [f64([1.0, 4.0]), f64([0.0, 8.0])])
    assert a[0].tolist() == pytest.approx([0.75, 6.0])


def test_the_loss_sums_cross_entropy_over_samples() -> None:
    value = loss(f64([[LN3], [-LN3]]), f64([[1.0], [1.0]]))
    assert float(value) == pytest.approx(-math.log(0.75) - math.log(0.25))


def test_a_sample_goes_through_all_parts_in_order() -> None:
    """All weights are 1, widths 1, one domain: z = 2 x, both experts add up to 2 x, γ = 1/2."""
    one, names = f64([[1.0]]), ("W_Q", "W_K", "W_V")
    weights = {"block.0.W0": one, "hfa.0.0.ffn.W0": one, "gfa.0.ffn.W0": f64([[1.0], [1.0]])}
    weights |= {f"hfa.0.0.{name}": one for name in names}
    weights |= {f"gfa.0.{j}.{name}": one for j in range(2) for name in names}
    weights |= {f"dapga.{name}": one for name in names}
    weights |= {f"{name}.W0": one for name in ("dref.shared", "dref.0", "dapga.0", "head.0")}
    weights |= {"dref.gate.W0": f64([[1.0, 1.0]]), "dapga.W": f64([[0.0], [0.0]])}
    weights |= {"dapga.b": f64([0.0])}
    reference = model(weights, n_domains=1)
    x, nothing = f64([[3.0], [-1.0]]), f64([[0.0], [0.0]])
    assert reference([x], [0, 0], nothing, nothing).tolist() == [[3.0], [-1.0]]
