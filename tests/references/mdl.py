"""MDL written down slowly from its paper: a sample at a time, a token at a time, a head at a time.

Everything is a float64 vector; gradients are autograd's. A vector is a row: x W + b, W [in, out].

What a sample gives (`Sample`):

    features         e_1 … e_Nf, the grouped feature embeddings of (2), of any widths; a group of
                     sequence features holds what the sequence module made of them
    scenario_inputs  ê_imp ⊕ ê_spec of each scenario token, Ns + 1 of them, the global one last
    task_inputs      the same of each task token, Nt of them
    scenarios        the sample's own scenarios, numbers below Ns: one, several or none

Weights, by name; j is a feature token, s a scenario token (the global one is Ns), n a task, l a
block. All of (6) to (16) need d_s = d_t = d, and token mixing that Nf divides d_f:

    proj.j.W [|e_j|, d_f]          proj.j.b [d_f]                                    (3)
    ffn_s.s.W1, b1, W2, b2         token s from its inputs, to [d]                   (4)
    ffn_t.n.W1, b1, W2, b2         token n from its inputs, to [d]                   (4)
    l.norm.gain, l.norm.bias       [d_f], or [Nf, d_f] if each token has its own     (6)
    l.ffn_f.j.W1, b1, W2, b2       d_f → hidden → d_f                                (6)
    l.attn_t.WQ.n [d, a]           l.attn_t.WK.j [d_f, a]    l.attn_t.WV.j [d_f, d]  (7)
    l.attn_s.WQ.s                  l.attn_s.WK.j             l.attn_s.WV.j           (8)
    l.ffn_s.s.W1, b1, W2, b2       d → hidden → d; none in the last block            (12)
    l.ffn_t.n.W1, b1, W2, b2       d → hidden → d                                    (15)
    logits.n.w [d]                 logits.n.b, a scalar                              (16)

Attention projections may have biases besides: l.attn_t.bQ.n, bK.j, bV.j and so on. A tokenizer
FFN without W2 is one layer.

How unclear text is read:

    (6)   PerTokenFFN(LN(TokenMixing(T) + T)), as RankMixer has it: the printed parenthesis is
          misplaced. No residual around the FFN, for none is printed; `feature_residual` adds
          RankMixer's.
    (7)   W_Q, W_K, W_V "in the form of a PerToken FFN": a matrix for each token, no hidden layer.
          Keys and values are of the updated feature tokens (11, 13); scenario and task attention
          share no weights. Softmax runs over feature tokens, √d is of one head's keys. Heads
          are concatenated without an output projection, for none is printed.
    (12)  Its result is read by the next block only, (14) taking T̂_s: the last block has none.
    FFN   W2 act(W1 x + b1) + b2. No activation is printed, RankMixer has GELU: `activation`.
    (9)   The mean over the sample's own scenarios and the global one, each once.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import gelu

Weights = Mapping[str, Tensor]
Vectors = list[Tensor]


@dataclass(frozen=True)
class Sample:
    """What the tokenizers read of one sample."""

    features: Sequence[Tensor]
    scenario_inputs: Sequence[Tensor]
    task_inputs: Sequence[Tensor]
    scenarios: Sequence[int]


@dataclass(frozen=True)
class Reading:
    """The number of blocks and heads, and what the paper leaves open."""

    blocks: int
    heads: int
    activation: Callable[[Tensor], Tensor] = gelu
    feature_residual: bool = False
    epsilon: float = 1e-5


def mdl(samples: Sequence[Sample], weights: Weights, reading: Reading) -> Tensor:
    """Logits [samples, tasks]."""
    return torch.stack([logits_of(sample, weights, reading) for sample in samples])


def logits_of(sample: Sample, weights: Weights, reading: Reading) -> Tensor:
    """Logits [tasks] of one sample: tokens, L blocks (3.3), heads."""
    t_f = [feature_token(e, j, weights) for j, e in enumerate(sample.features)]
    t_s = domain_tokens("ffn_s", sample.scenario_inputs, weights, reading)
    t_t = domain_tokens("ffn_t", sample.task_inputs, weights, reading)
    for block in range(reading.blocks):
        last = block == reading.blocks - 1
        t_f = feature_tokens_after(t_f, block, weights, reading)
        seen_s = attended("attn_s", t_s, t_f, block, weights, reading)
        seen_t = attended("attn_t", t_t, t_f, block, weights, reading)
        fused = domain_fused(seen_t, seen_s, sample.scenarios)
        t_t = with_ffn("ffn_t", fused, block, weights, reading)
        t_s = seen_s if last else with_ffn("ffn_s", seen_s, block, weights, reading)
    return torch.stack([logit(token, n, weights) for n, token in enumerate(t_t)])


def feature_token(e: Tensor, j: int, weights: Weights) -> Tensor:
    """(3): t_j = Proj(e_j)."""
    return e @ weights[f"proj.{j}.W"] + weights[f"proj.{j}.b"]


def domain_tokens(
    name: str, inputs: Sequence[Tensor], weights: Weights, reading: Reading
) -> Vectors:
    """(4): t_s = ReLU(FFN(ê_imp ⊕ ê_spec)), an FFN for each token; tasks likewise."""
    return [
        torch.relu(ffn(x, f"{name}.{i}", weights, reading.activation)) for i, x in enumerate(inputs)
    ]


def feature_tokens_after(t_f: Vectors, block: int, weights: Weights, reading: Reading) -> Vectors:
    """(5), (6): T_f' = PerTokenFFN(LN(TokenMixing(T_f) + T_f))."""
    after = []
    for j, (mixed, token) in enumerate(zip(token_mixing(t_f), t_f, strict=True)):
        normal = layer_norm(mixed + token, j, f"{block}.norm", weights, reading.epsilon)
        updated = ffn(normal, f"{block}.ffn_f.{j}", weights, reading.activation)
        after.append(updated + normal if reading.feature_residual else updated)
    return after


def token_mixing(tokens: Vectors) -> Vectors:
    """RankMixer's: token h of the result is piece h of every token, one after the other."""
    pieces = len(tokens)
    width = len(tokens[0]) // pieces
    assert width * pieces == len(tokens[0]), "token mixing needs a width that Nf divides"
    return [
        torch.cat([token[h * width : (h + 1) * width] for token in tokens]) for h in range(pieces)
    ]


def layer_norm(x: Tensor, j: int, name: str, weights: Weights, epsilon: float) -> Tensor:
    """LN of (6), over the width of one token."""
    gain, bias = weights[f"{name}.gain"], weights[f"{name}.bias"]
    if gain.dim() == 2:
        gain, bias = gain[j], bias[j]
    mean = x.sum() / len(x)
    variance = ((x - mean) ** 2).sum() / len(x)
    return (x - mean) / torch.sqrt(variance + epsilon) * gain + bias


def attended(
    name: str, tokens: Vectors, t_f: Vectors, block: int, weights: Weights, reading: Reading
) -> Vectors:
    """(11) and (13): T̂ = DomainAwareAttn(T, T_f') + T."""
    attention = f"{block}.{name}"
    return [
        domain_aware_attention(token, i, t_f, attention, weights, reading.heads) + token
        for i, token in enumerate(tokens)
    ]


def domain_aware_attention(
    token: Tensor, i: int, t_f: Vectors, name: str, weights: Weights, heads: int
) -> Tensor:
    """(7) and (8): softmax((W_Q t_i)(W_K T_f) / √d) W_V T_f, head by head."""
    query = projected(token, "Q", i, name, weights)
    keys = [projected(feature, "K", j, name, weights) for j, feature in enumerate(t_f)]
    values = [projected(feature, "V", j, name, weights) for j, feature in enumerate(t_f)]
    results = []
    for head in range(heads):
        q = piece(query, head, heads)
        scores = [(q * piece(key, head, heads)).sum() / len(q) ** 0.5 for key in keys]
        shares = softmax(scores)
        results.append(
            sum_of([p * piece(v, head, heads) for p, v in zip(shares, values, strict=True)])
        )
    return torch.cat(results)


def projected(x: Tensor, kind: str, i: int, name: str, weights: Weights) -> Tensor:
    """x W_i, plus b_i where there is one."""
    y = x @ weights[f"{name}.W{kind}.{i}"]
    bias = weights.get(f"{name}.b{kind}.{i}")
    return y if bias is None else y + bias


def domain_fused(seen_t: Vectors, seen_s: Vectors, scenarios: Sequence[int]) -> Vectors:
    """(14): (9) and (10) for each task token."""
    average = selected_mean(seen_s, scenarios)
    return [token + average for token in seen_t]


def selected_mean(seen_s: Vectors, scenarios: Sequence[int]) -> Tensor:
    """(9): the mean of the sample's own scenario tokens and the global one."""
    selected = [seen_s[s] for s in sorted(set(scenarios))] + [seen_s[-1]]
    return sum_of(selected) / len(selected)


def with_ffn(name: str, tokens: Vectors, block: int, weights: Weights, reading: Reading) -> Vectors:
    """(12) and (15): T' = PerTokenFFN(T̂) + T̂."""
    return [
        ffn(token, f"{block}.{name}.{i}", weights, reading.activation) + token
        for i, token in enumerate(tokens)
    ]


def logit(token: Tensor, n: int, weights: Weights) -> Tensor:
    """(16): ŷ_n = LogitsLayer(t_n), before the sigmoid."""
    return (token * weights[f"logits.{n}.w"]).sum() + weights[f"logits.{n}.b"]


def ffn(x: Tensor, name: str, weights: Weights, activation: Callable[[Tensor], Tensor]) -> Tensor:
    """W2 act(W1 x + b1) + b2, or one layer if there is no W2."""
    first = x @ weights[f"{name}.W1"] + weights[f"{name}.b1"]
    if f"{name}.W2" not in weights:
        return first
    return activation(first) @ weights[f"{name}.W2"] + weights[f"{name}.b2"]


def softmax(scores: Sequence[Tensor]) -> Vectors:
    """The scores' shares of one."""
    top = max(score.item() for score in scores)
    powers = [torch.exp(score - top) for score in scores]
    return [power / sum_of(powers) for power in powers]


def piece(x: Tensor, head: int, heads: int) -> Tensor:
    """The stretch of a vector that belongs to a head."""
    width = len(x) // heads
    assert width * heads == len(x), "heads must divide the width"
    return x[head * width : (head + 1) * width]


def sum_of(vectors: Sequence[Tensor]) -> Tensor:
    """The sum of some vectors, at least one."""
    total = vectors[0]
    for vector in vectors[1:]:
        total = total + vector
    return total
