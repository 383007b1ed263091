"""INFNet once more, straight from the paper's equations: one sample, one token, one hub at a time.

Slow and plain on purpose, in float64, one function for each numbered equation of section 3. It
shares no code with `models`; autograd through it gives the reference gradients.

Symbols: d width of a token, N_c categorical features, N_t tasks, B behavior types, L blocks,
n_c categorical hubs, n_shared shared task hubs; g ∈ {C, S, T} a group.

Weights by name (an MLP is as many layers i = 0, 1, … as there are weights, W is [out, in]):

    phi_cat.{i}.W, phi_cat.{i}.b          (1)  N_c·d → … → n_c·d
    p [positions, d], r [intervals, d]    (2)
    mlp_seq.{b}.{i}.W, .b                 (3)  d → … → d, of behavior type b
    T [N_t, d], T_shared [n_shared, d]    (4)
    block.{l}.{g}.fuse.W [d, 3d], .b [d]  (7)  of the views in the order C, S, T, whatever g is
    block.{l}.{g}.hub_norm.gain, .bias    (7)  [d]
    block.{l}.{g}.mlp_bgu.{i}.W, .b       (8)  (hubs of g)·d → … → 2d: first α, then β
    block.{l}.{g}.token_norm.gain, .bias  (10) [d]
    head.{k}.{i}.W, .b                    (11) d → … → 1, of task k

and, only if (5) is to have learned projections (none by default: the cost that the paper states
has no N·d² term), for hubs of g that look at the tokens of v ∈ {C, S, T}:

    block.{l}.{g}.{v}.WQ, .WK, .WV        (5)  [d, d]

What the paper leaves open, and how it is read here:
- "MLP" names neither depth nor activation: the depth follows from the weights, the activation
  (between layers, none after the last) is SiLU, or ReLU with `activation="relu"`.
- LN is the usual one over the width, ε = 1e-5, with gain and bias of its own at each place.
- (3) of a type without behaviors divides by 0: the hub is then 0. So is a view (6) of no tokens.
- p_t of (2) is looked up by the position that comes with an item, r_t by the index of its time
  interval: how times become indices is the tokenizer's affair.
- Task hubs (4) are a stream of their own: they start as the task tokens and the shared tokens, and
  from then on only (7) moves hubs, only (10) moves tokens.
- The heads read the task tokens alone, so the last block is built for group T alone: its
  categorical and sequence hubs and tokens would be computed for nobody.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Weights = Mapping[str, Tensor]
Tokens = list[Tensor]
"""Vectors [d]."""
VIEWS = ("C", "S", "T")


@dataclass(frozen=True)
class Behaviors:
    """The items of one behavior type of one sample, the oldest first."""

    e: Tensor
    """[T_b, d], raw embeddings; T_b may be 0."""
    position: Sequence[int]
    """[T_b], rows of p."""
    interval: Sequence[int]
    """[T_b], rows of r."""


@dataclass(frozen=True)
class Sample:
    """What enters the tokenizers for one sample."""

    categorical: Tensor
    """C⁽⁰⁾ [N_c, d]: embedded categorical features, dense ones binned before."""
    behaviors: Sequence[Behaviors]
    """One a behavior type, B in all."""


def infnet(
    samples: Sequence[Sample], weights: Weights, blocks: int, activation: str = "silu"
) -> Tensor:
    """Logits [n, N_t]: what (11) takes the sigmoid of."""
    return torch.stack([logits_of(sample, weights, blocks, activation) for sample in samples])


def logits_of(sample: Sample, weights: Weights, blocks: int, activation: str = "silu") -> Tensor:
    """Logits of one sample, [N_t]."""
    tokens = {
        "C": list(sample.categorical),
        "S": [s for b in sample.behaviors for s in eq2_sequence_tokens(b, weights)],
        "T": list(weights["T"]),
    }
    hubs = {
        "C": eq1_categorical_hubs(tokens["C"], weights, activation),
        "S": [
            eq3_sequence_hub(eq2_sequence_tokens(b, weights), i, weights, activation)
            for i, b in enumerate(sample.behaviors)
        ],
        "T": eq4_task_hubs(weights),
    }
    for block in range(blocks):
        groups = ("T",) if block == blocks - 1 else VIEWS
        tokens, hubs = block_of(tokens, hubs, f"block.{block}", weights, activation, groups)
    return eq11_logits(tokens["T"], weights, activation)


def block_of(
    tokens: Mapping[str, Tokens],
    hubs: Mapping[str, Tokens],
    name: str,
    weights: Weights,
    activation: str = "silu",
    groups: Sequence[str] = VIEWS,
) -> tuple[dict[str, Tokens], dict[str, Tokens]]:
    """One INFNet block: the next tokens and hubs of these groups."""
    next_hubs, next_tokens = {}, {}
    for g in groups:
        updated = []
        for hub in hubs[g]:
            views = eq6_views(hub, tokens, f"{name}.{g}", weights)
            updated.append(eq7_next_hub(hub, views, f"{name}.{g}", weights))
        next_hubs[g] = updated
        alpha, beta = eq8_modulation(updated, f"{name}.{g}", weights, activation)
        next_tokens[g] = [
            eq10_next_token(x, eq9_bgu(x, alpha, beta), f"{name}.{g}", weights) for x in tokens[g]
        ]
    return next_tokens, next_hubs


def eq1_categorical_hubs(c: Tokens, weights: Weights, activation: str = "silu") -> Tokens:
    """(1)  C̃ = Reshape(φ_cat[Flatten(C)]), n_c hubs."""
    flat = torch.cat(c)
    return list(mlp(flat, "phi_cat", weights, activation).view(-1, len(c[0])))


def eq2_sequence_tokens(behaviors: Behaviors, weights: Weights) -> Tokens:
    """(2)  s_bt = e_bt + p_t + r_t."""
    return [
        e + weights["p"][position] + weights["r"][interval]
        for e, position, interval in zip(
            behaviors.e, behaviors.position, behaviors.interval, strict=True
        )
    ]


def eq3_sequence_hub(s: Tokens, b: int, weights: Weights, activation: str = "silu") -> Tensor:
    """(3)  s̃_b = 1/T_b Σ_t MLP_b(s_bt); 0 if T_b = 0."""
    hub = torch.zeros_like(weights["T"][0])
    for token in s:
        hub = hub + mlp(token, f"mlp_seq.{b}", weights, activation) / len(s)
    return hub


def eq4_task_hubs(weights: Weights) -> Tokens:
    """(4)  T̃ = Concat[T; T̃_shared]."""
    return [*weights["T"], *weights["T_shared"]]


def eq5_cross_attention(q: Tensor, keys: Tokens, values: Tokens) -> Tensor:
    """(5)  CA(q, K, V) = Softmax(q Kᵀ / √d) V of one query; 0 of no keys."""
    d = len(q)
    shares = [torch.exp((q * k).sum() / d**0.5) for k in keys]
    context = torch.zeros_like(q)
    for share, v in zip(shares, values, strict=True):
        context = context + share / sum(shares) * v
    return context


def eq6_views(hub: Tensor, tokens: Mapping[str, Tokens], name: str, weights: Weights) -> Tokens:
    """(6)  Z_C, Z_S, Z_T: what the hub finds among the tokens of each group."""
    return [
        eq5_cross_attention(
            projected(hub, f"{name}.{v}.WQ", weights),
            [projected(x, f"{name}.{v}.WK", weights) for x in tokens[v]],
            [projected(x, f"{name}.{v}.WV", weights) for x in tokens[v]],
        )
        for v in VIEWS
    ]


def eq7_next_hub(hub: Tensor, views: Tokens, name: str, weights: Weights) -> Tensor:
    """(7)  LN(hub + Linear(Concat[Z_C; Z_S; Z_T]))."""
    fused = weights[f"{name}.fuse.W"] @ torch.cat(views) + weights[f"{name}.fuse.b"]
    return layer_norm(hub + fused, f"{name}.hub_norm", weights)


def eq8_modulation(
    hubs: Tokens, name: str, weights: Weights, activation: str = "silu"
) -> tuple[Tensor, Tensor]:
    """(8)  α, β = Split(MLP_bgu(Flatten(X̃))), [d] each: one pair for the whole group."""
    both = mlp(torch.cat(hubs), f"{name}.mlp_bgu", weights, activation)
    d = len(hubs[0])
    return both[:d], both[d:]


def eq9_bgu(x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """(9)  BGU(x) = x ⊙ σ(α) + β."""
    return x / (1 + torch.exp(-alpha)) + beta


def eq10_next_token(x: Tensor, modulated: Tensor, name: str, weights: Weights) -> Tensor:
    """(10)  LN(x + BGU(x))."""
    return layer_norm(x + modulated, f"{name}.token_norm", weights)


def eq11_logits(t: Tokens, weights: Weights, activation: str = "silu") -> Tensor:
    """(11)  MLP_k(t_k) of each task k, before the sigmoid: [N_t]."""
    return torch.cat([mlp(x, f"head.{k}", weights, activation) for k, x in enumerate(t)])


def eq12_loss(logits: Tensor, labels: Tensor, task_weights: Sequence[float]) -> Tensor:
    """(12)  Σ_k λ_k BCE(σ(logit_k), y_k) of one sample."""
    loss = torch.zeros((), dtype=logits.dtype)
    for logit, y, weight in zip(logits, labels, task_weights, strict=True):
        probability = 1 / (1 + torch.exp(-logit))
        likelihood = probability if y > 0 else 1 - probability
        loss = loss - weight * torch.log(likelihood)
    return loss


def mlp(x: Tensor, name: str, weights: Weights, activation: str = "silu") -> Tensor:
    """Layers `name.0`, `name.1`, … with the activation between them."""
    layer = 0
    while f"{name}.{layer}.W" in weights:
        if layer:
            x = torch.clamp(x, min=0) if activation == "relu" else x / (1 + torch.exp(-x))
        x = weights[f"{name}.{layer}.W"] @ x + weights[f"{name}.{layer}.b"]
        layer += 1
    if not layer:
        raise KeyError(f"expected weights {name}.0.W and {name}.0.b")
    return x


def projected(x: Tensor, name: str, weights: Weights) -> Tensor:
    """W x if the projection is there, else x."""
    return weights[name] @ x if name in weights else x


def layer_norm(x: Tensor, name: str, weights: Weights, epsilon: float = 1e-5) -> Tensor:
    """Gain ⊙ (x - mean) / √(variance + ε) + bias."""
    centred = x - x.sum() / len(x)
    normal = centred / ((centred * centred).sum() / len(x) + epsilon) ** 0.5
    return weights[f"{name}.gain"] * normal + weights[f"{name}.bias"]
