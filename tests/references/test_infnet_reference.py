"""The INFNet reference itself, against numbers worked out by hand."""

import math

import pytest
import torch
from torch import Tensor

from tests.references.infnet import (
    Behaviors,
    Sample,
    block_of,
    eq1_categorical_hubs,
    eq2_sequence_tokens,
    eq3_sequence_hub,
    eq4_task_hubs,
    eq5_cross_attention,
    eq6_views,
    eq7_next_hub,
    eq8_modulation,
    eq9_bgu,
    eq10_next_token,
    eq11_logits,
    eq12_loss,
    infnet,
)


def vector(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def close(one: Tensor, *values: float) -> None:
    torch.testing.assert_close(one, vector(*values), rtol=0, atol=1e-9)


SILU_1 = 1 / (1 + math.exp(-1))
NEAR_1 = 1 / math.sqrt(1 + 1e-5)
"""LN of [1, -1]: variance 1, ε = 1e-5."""


def test_eq1_hubs_are_slices_of_the_mlp_of_all_features() -> None:
    # Flatten = [1, 2, 3, 4]; hidden = SiLU([1, 0]); out = [h, 2h, 3h, 0] + b.
    weights = {
        "phi_cat.0.W": torch.stack([vector(1, 0, 0, 0), vector(0, 2, 0, -1)]),
        "phi_cat.0.b": vector(0, 0),
        "phi_cat.1.W": torch.stack([vector(1, 5), vector(2, 5), vector(3, 5), vector(0, 5)]),
        "phi_cat.1.b": vector(0, 0, 0, 7),
    }
    first, second = eq1_categorical_hubs([vector(1, 2), vector(3, 4)], weights)
    close(first, SILU_1, 2 * SILU_1)
    close(second, 3 * SILU_1, 7)


def test_relu_is_offered() -> None:
    weights = {
        "phi_cat.0.W": vector(1, -1).diag(),
        "phi_cat.0.b": vector(0, 0),
        "phi_cat.1.W": vector(1, 1).diag(),
        "phi_cat.1.b": vector(0, 0),
    }
    close(eq1_categorical_hubs([vector(3, 2)], weights, "relu")[0], 3, 0)


def test_eq2_adds_position_and_interval() -> None:
    weights = {
        "p": torch.stack([vector(10, 0), vector(20, 0)]),
        "r": torch.stack([vector(0, 100), vector(0, 200), vector(0, 300)]),
    }
    behaviors = Behaviors(torch.stack([vector(1, 2), vector(3, 4)]), [0, 1], [2, 0])
    first, second = eq2_sequence_tokens(behaviors, weights)
    close(first, 11, 302)
    close(second, 23, 104)


def test_eq3_averages_after_the_mlp_of_the_type_and_is_0_of_none() -> None:
    weights = {
        "mlp_seq.1.0.W": vector(2, 3).diag(),
        "mlp_seq.1.0.b": vector(1, 0),
        "T": vector(0, 0)[None],
    }
    close(eq3_sequence_hub([vector(1, 2), vector(3, 4)], 1, weights), 5, 9)
    close(eq3_sequence_hub([], 1, weights), 0, 0)


def test_eq4_hubs_are_the_task_tokens_and_then_the_shared_ones() -> None:
    weights = {"T": torch.stack([vector(1, 2), vector(3, 4)]), "T_shared": vector(5, 6)[None]}
    assert torch.stack(eq4_task_hubs(weights)).tolist() == [[1, 2], [3, 4], [5, 6]]


def test_eq5_weighs_values_by_the_softmax_of_scaled_scores() -> None:
    # d = 4: scores 2 log 3 / √4 = log 3 and 0: weights 3/4 and 1/4.
    q = vector(2 * math.log(3), 0, 0, 0)
    keys = [vector(1, 9, 9, 9), vector(0, 9, 9, 9)]
    values = [vector(4, 8, 0, 0), vector(0, 0, 4, 8)]
    close(eq5_cross_attention(q, keys, values), 3, 6, 1, 2)
    close(eq5_cross_attention(q, [], []), 0, 0, 0, 0)


def test_eq6_looks_at_each_group_apart_and_projects_only_if_asked() -> None:
    tokens = {"C": [vector(1, 2)], "S": [], "T": [vector(3, 4)]}
    c, s, t = eq6_views(vector(7, 7), tokens, "x", {})
    close(c, 1, 2)
    close(s, 0, 0)
    close(t, 3, 4)
    # Of two tokens: Wq maps the hub to 0, so both weigh 1/2; Wv doubles.
    weights = {"x.C.WQ": torch.zeros(2, 2).double(), "x.C.WV": vector(2, 2).diag()}
    tokens = {"C": [vector(1, 2), vector(5, 0)], "S": [], "T": []}
    close(eq6_views(vector(7, 7), tokens, "x", weights)[0], 6, 2)


def norm(name: str, gain: float = 1, bias: float = 0) -> dict[str, Tensor]:
    return {f"{name}.gain": vector(gain, gain), f"{name}.bias": vector(bias, bias)}


def test_eq7_fuses_views_adds_the_hub_and_normalises() -> None:
    # fused = [1 + 3, 2 + 4 + 1]; plus the hub [0, -5] = [4, 2] → [1, -1] · NEAR_1.
    fuse = torch.stack([vector(1, 0, 1, 0, 0, 0), vector(0, 1, 0, 1, 0, 1)])
    weights = {"g.fuse.W": fuse, "g.fuse.b": vector(0, 0), **norm("g.hub_norm", 2, 10)}
    hub = eq7_next_hub(vector(0, -5), [vector(1, 2), vector(3, 4), vector(9, 1)], "g", weights)
    close(hub, 10 + 2 * NEAR_1, 10 - 2 * NEAR_1)


def test_eq8_gives_one_pair_for_all_hubs() -> None:
    weights = {
        "g.mlp_bgu.0.W": torch.stack(
            [vector(1, 0, 0, 0), vector(0, 1, 0, 0), vector(0, 0, 1, 0), vector(1, 1, 1, 1)]
        ),
        "g.mlp_bgu.0.b": vector(0, 0, 0, 1),
    }
    alpha, beta = eq8_modulation([vector(1, 2), vector(3, 4)], "g", weights)
    close(alpha, 1, 2)
    close(beta, 3, 11)


def test_eq9_scales_by_the_sigmoid_and_shifts() -> None:
    # σ(0) = 1/2, σ(log 3) = 3/4.
    close(eq9_bgu(vector(2, 8), vector(0, math.log(3)), vector(10, 20)), 11, 26)


def test_eq10_adds_the_token_itself_and_normalises() -> None:
    # [1, -4] + [2, 5] = [3, 1] → [1, -1].
    token = eq10_next_token(vector(1, -4), vector(2, 5), "g", norm("g.token_norm", 3, 1))
    close(token, 1 + 3 * NEAR_1, 1 - 3 * NEAR_1)


def test_eq11_has_a_head_for_each_task() -> None:
    weights = {
        "head.0.0.W": vector(1, 2)[None],
        "head.0.0.b": vector(0),
        "head.1.0.W": vector(3, 4)[None],
        "head.1.0.b": vector(5),
    }
    close(eq11_logits([vector(1, 1), vector(1, 1)], weights), 3, 12)


def test_eq12_weighs_tasks() -> None:
    # σ(log 3) = 3/4: 2 · -log(3/4) + 10 · -log(1/4).
    logits = vector(math.log(3), math.log(3))
    expected = -2 * math.log(0.75) - 10 * math.log(0.25)
    assert eq12_loss(logits, vector(1, 0), [2, 10]).item() == pytest.approx(expected)


def plain_weights(blocks: int, n_hubs: dict[str, int]) -> dict[str, Tensor]:
    """d = 2: views are ignored, α = β = 0, gains 1."""
    weights = {
        "phi_cat.0.W": vector(1, 1).diag(),
        "phi_cat.0.b": vector(0, 0),
        "p": torch.zeros(3, 2).double(),
        "r": torch.zeros(3, 2).double(),
        "T": vector(5, 1)[None],
        "T_shared": vector(1, 0)[None],
        "head.0.0.W": vector(1, 10)[None],
        "head.0.0.b": vector(100),
    }
    for b in range(n_hubs["S"]):
        weights |= {f"mlp_seq.{b}.0.W": vector(1, 1).diag(), f"mlp_seq.{b}.0.b": vector(0, 0)}
    for block in range(blocks):
        for g in "CST":
            name = f"block.{block}.{g}"
            weights |= norm(f"{name}.hub_norm") | norm(f"{name}.token_norm")
            weights |= {
                f"{name}.fuse.W": torch.zeros(2, 6).double(),
                f"{name}.fuse.b": vector(0, 0),
                f"{name}.mlp_bgu.0.W": torch.zeros(4, 2 * n_hubs[g]).double(),
                f"{name}.mlp_bgu.0.b": vector(0, 0, 0, 0),
            }
    return weights


SAMPLE = Sample(
    categorical=vector(1, 2)[None],
    behaviors=[
        Behaviors(torch.stack([vector(3, 0), vector(0, 1)]), [0, 1], [0, 0]),
        Behaviors(torch.zeros(0, 2).double(), [], []),
    ],
)


def test_a_whole_network_by_hand() -> None:
    # Task token [5, 1]: + BGU = 1.5 · [5, 1] → LN = ±3 / √(9 + ε); head: 1 - 10 + 100.
    weights = plain_weights(1, {"C": 1, "S": 2, "T": 2})
    near_1 = 3 / math.sqrt(9 + 1e-5)
    close(infnet([SAMPLE], weights, blocks=1)[0], 100 - 9 * near_1)


def test_the_last_block_needs_no_categorical_and_sequence_weights() -> None:
    weights = plain_weights(2, {"C": 1, "S": 2, "T": 2})
    whole = infnet([SAMPLE], weights, blocks=2)
    needed = {k: w for k, w in weights.items() if not k.startswith(("block.1.C", "block.1.S"))}
    assert torch.equal(infnet([SAMPLE], needed, blocks=2), whole)


def test_what_hubs_gather_reaches_tokens_in_the_same_block() -> None:
    # Fusing Z_C into the task hubs and hub 0 into β moves the task token by the one C token.
    weights = plain_weights(1, {"C": 1, "S": 2, "T": 2})
    fuse = torch.stack([vector(1, 0, 0, 0, 0, 0), vector(0, 1, 0, 0, 0, 0)])
    shift = torch.zeros(4, 4).double()
    shift[2, 0] = shift[3, 1] = 1.0
    weights |= {"block.0.T.fuse.W": fuse, "block.0.T.mlp_bgu.0.W": shift}
    tokens = {"C": [vector(1, 2)], "S": [], "T": [vector(5, 1)]}
    hubs = {"C": [], "S": [], "T": [vector(5, 1), vector(1, 0)]}
    next_tokens, next_hubs = block_of(tokens, hubs, "block.0", weights, groups=("T",))
    # Hub [5, 1] + [1, 2] = [6, 3] → [1, -1] · h, h = 1.5 / √(2.25 + ε).
    h = 1.5 / math.sqrt(2.25 + 1e-5)
    close(next_hubs["T"][0], h, -h)
    # Token [5, 1] · 1.5 + [h, -h]: half the difference is 3 + h.
    t = (3 + h) / math.sqrt((3 + h) ** 2 + 1e-5)
    close(next_tokens["T"][0], t, -t)
