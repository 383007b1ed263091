"""HHSFT straight from the equations of UniScale 3.4: one sample, one token, one head at a time.

Slow and plain on purpose, in float64 with explicit loops; autograd gives the gradients. It shares
no code with `models`.

Inputs of `HhsftReference(weights, ...)(blocks, domains, user, domain)`
    blocks   a list of n tensors [N, F_i]: sample by sample, the embedded features of block i
    domains  N whole numbers: the domain of each sample
    user     [N, E_u], Emb_u: the user-side static features
    domain   [N, E_d], Emb_d: the features of each sample's domain
It returns the logits of each sample's own domain, [N, K].

Weights by name; all matrices multiply from the right, x W, as (1) is printed. An MLP or FFN named
X has the layers `X.W0 [I, H], X.b0 [H], X.W1 [H, O], X.b1 [O], …`: as many as there are, a bias
that is absent is none, the activation stands between layers and not after the last. n tokens,
l a layer, i a token, m tokens of the global layers, j one of them, k a domain, t a task:
    block.i              MLP F_i → d_H
    hfa.l.i.W_Q, W_K, W_V    [d_H, d_H], (1);   hfa.l.i.W_O [d_H, d_H] if attention has an output
    hfa.l.i.ffn          MLP d_H → d_H
    hfa.l.norm1, norm2   `.gain`, `.bias`, both [n, d_H]; `hfa.norm` likewise, only if there
    gfa.l.j.W_Q, W_K, W_V    [Z_l, d_G], (2);   gfa.l.j.W_O [d_G, d_G] if attention has an output
    gfa.l.ffn            MLP m·d_G → Z_(l+1);   Z_0 = n·d_H, Z_(L_G) = d_Z
    gfa.l.norm1, norm2   `.gain`, `.bias`, each [width] of the flat vector, or [tokens, width]
                         where each token is normalised alone; `gfa.norm` likewise, only if there
    dref.shared, dref.k  MLPs d_Z → d_E, f_s and f_d of (4);   dref.gate: MLP d_Z → 2, (3)
    dapga.k              MLP d_E → d_O, the expert of domain k
    dapga.W_Q, W_K, W_V  [d_O, d_A], (6);   dapga.W, dapga.b: [E_u + E_d, d_A], [d_A], (7)
    head.k               MLP d_A → K; or head.k.t, MLPs d_A → 1, where tasks have hidden layers
                         of their own

What the text leaves open
    residuals and norms  none are printed. `norm="post"` (default): a = LN(h + MHSA(h)),
                         h' = LN(a + FFN(a)); `"pre"`: a = h + MHSA(LN(h)), h' = a + FFN(LN(a)), and
                         `hfa.norm`, `gfa.norm` after the last layer if they are given;
                         `"none"`: as printed, h' = FFN(MHSA(h)).
    global residuals     a layer of GFA changes widths, so by default only what fits is added:
                         `global_residual="fitting"` adds the input to attention's output, and
                         attention's output to the FFN's, where their widths agree; `"none"` never.
                         Norms of GFA stand where those of HFA do, also where nothing is added.
    O of (5)             holds each domain once: the own output with its gradient, the others
                         stopped. `own_twice=True` reads the print to the letter: o^cur, and then
                         all N stopped, the own among them.
    activation           of MLPs and FFNs `activation`, by default SiLU.
    attention            of HFA and GFA has `heads` and `global_heads`, scaled by the root of a
                         head's width; that of DAPGA `domain_heads`.
    several tasks        the paper has one output a domain; here one a domain and task.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

EPSILON = 1e-5


def silu(x: Tensor) -> Tensor:
    return x / (1 + torch.exp(-x))


@dataclass(frozen=True)
class HhsftReference:
    """The oracle; L_H and L_G layers, m global tokens, n_domains domains."""

    weights: Mapping[str, Tensor]
    layers: int
    global_layers: int
    global_tokens: int
    n_domains: int
    heads: int = 1
    global_heads: int = 1
    domain_heads: int = 1
    norm: Literal["post", "pre", "none"] = "post"
    global_residual: Literal["fitting", "none"] = "fitting"
    own_twice: bool = False
    activation: Callable[[Tensor], Tensor] = silu

    def __call__(
        self, blocks: Sequence[Tensor], domains: Sequence[int], user: Tensor, domain: Tensor
    ) -> Tensor:
        rows = []
        for i, own in enumerate(domains):
            z = self.interaction([block[i] for block in blocks])
            rows.append(self.fusion(z, own, user[i], domain[i]))
        return torch.stack(rows)

    def interaction(self, features: Sequence[Tensor]) -> Tensor:
        """HHFI (3.4.1): Z of one sample, [d_Z]."""
        h = [self.mlp(f"block.{i}", block) for i, block in enumerate(features)]
        for layer in range(self.layers):
            h = self.heterogeneous(layer, h)
        z = torch.cat(self.last_norm("hfa.norm", h))
        for layer in range(self.global_layers):
            z = self.whole(layer, z)
        return torch.cat(self.last_norm("gfa.norm", [z]))

    def fusion(self, z: Tensor, own: int, user: Tensor, domain: Tensor) -> Tensor:
        """ESUIF (3.4.2) and the output of the own domain: the logits of one sample, [K]."""
        e = self.routed(z, own)
        o = self.attended(e, own)
        return self.head(own, self.gate(user, domain) * o)  # (8)

    def heterogeneous(self, layer: int, h: list[Tensor]) -> list[Tensor]:
        """One layer of HFA."""
        name = f"hfa.{layer}"
        attended = self.token_attention(layer, self.before(f"{name}.norm1", h))
        a = self.after(f"{name}.norm1", self.add(h, attended))
        inner = self.before(f"{name}.norm2", a)
        refined = [self.mlp(f"{name}.{i}.ffn", token) for i, token in enumerate(inner)]
        return self.after(f"{name}.norm2", self.add(a, refined))

    def token_attention(self, layer: int, h: list[Tensor]) -> list[Tensor]:
        """Equation (1), then multi-head self-attention over the n tokens."""
        w = self.weights
        q, k, v = (
            [h_i @ w[f"hfa.{layer}.{i}.W_{part}"] for i, h_i in enumerate(h)] for part in "QKV"
        )
        a = multi_head(q, k, v, self.heads)
        return [self.output(f"hfa.{layer}.{i}", a_i) for i, a_i in enumerate(a)]

    def whole(self, layer: int, z: Tensor) -> Tensor:
        """One layer of GFA: [Z_l] → [Z_(l+1)]."""
        name = f"gfa.{layer}"
        attended = torch.cat(
            self.composite_attention(layer, torch.cat(self.before(f"{name}.norm1", [z])))
        )
        a = torch.cat(self.after(f"{name}.norm1", [self.fit(z, attended)]))
        refined = self.mlp(f"{name}.ffn", torch.cat(self.before(f"{name}.norm2", [a])))
        return torch.cat(self.after(f"{name}.norm2", [self.fit(a, refined)]))

    def composite_attention(self, layer: int, z: Tensor) -> list[Tensor]:
        """Equation (2) for keys, queries and values, then self-attention over the m tokens."""
        tokens = range(self.global_tokens)
        q, k, v = (
            [z @ self.weights[f"gfa.{layer}.{j}.W_{part}"] for j in tokens] for part in "QKV"
        )
        a = multi_head(q, k, v, self.global_heads)
        return [self.output(f"gfa.{layer}.{j}", a_j) for j, a_j in enumerate(a)]

    def routed(self, z: Tensor, own: int) -> Tensor:
        """Equations (3) and (4): e, [d_E]; other domains' experts are not even asked."""
        alpha_s, alpha_d = softmax(list(self.mlp("dref.gate", z)))
        return alpha_s * self.mlp("dref.shared", z) + alpha_d * self.mlp(f"dref.{own}", z)

    def attended(self, e: Tensor, own: int) -> Tensor:
        """Equations (5) and (6), then scaled dot-product attention: õ, [d_A]."""
        outputs = [self.mlp(f"dapga.{k}", e) for k in range(self.n_domains)]
        o = [outputs[own]]
        for k, output in enumerate(outputs):
            if k != own or self.own_twice:
                o.append(output.detach())
        w = self.weights
        q = outputs[own] @ w["dapga.W_Q"]
        keys, values = ([o_k @ w[f"dapga.W_{part}"] for o_k in o] for part in "KV")
        return multi_head([q], keys, values, self.domain_heads)[0]

    def gate(self, user: Tensor, domain: Tensor) -> Tensor:
        """Equation (7): γ, [d_A]."""
        x = torch.cat([user, domain]) @ self.weights["dapga.W"] + self.weights["dapga.b"]
        return 1 / (1 + torch.exp(-x))

    def head(self, own: int, o: Tensor) -> Tensor:
        """The output of domain `own`: logits, [K]."""
        if f"head.{own}.W0" in self.weights:
            return self.mlp(f"head.{own}", o)
        logits = []
        while f"head.{own}.{len(logits)}.W0" in self.weights:
            logits.append(self.mlp(f"head.{own}.{len(logits)}", o))
        return torch.cat(logits)

    def mlp(self, name: str, x: Tensor) -> Tensor:
        layer = 0
        while f"{name}.W{layer}" in self.weights:
            x = (self.activation(x) if layer else x) @ self.weights[f"{name}.W{layer}"]
            if f"{name}.b{layer}" in self.weights:
                x = x + self.weights[f"{name}.b{layer}"]
            layer += 1
        if layer == 0:
            raise KeyError(f"{name}.W0")
        return x

    def output(self, name: str, a: Tensor) -> Tensor:
        return a @ self.weights[f"{name}.W_O"] if f"{name}.W_O" in self.weights else a

    def add(self, old: list[Tensor], new: list[Tensor]) -> list[Tensor]:
        if self.norm == "none":
            return new
        return [x + y for x, y in zip(old, new, strict=True)]

    def fit(self, old: Tensor, new: Tensor) -> Tensor:
        fits = self.norm != "none" and self.global_residual == "fitting"
        return old + new if fits and len(old) == len(new) else new

    def before(self, name: str, h: list[Tensor]) -> list[Tensor]:
        return self.layer_norm(name, h) if self.norm == "pre" else h

    def after(self, name: str, h: list[Tensor]) -> list[Tensor]:
        return self.layer_norm(name, h) if self.norm == "post" else h

    def last_norm(self, name: str, h: list[Tensor]) -> list[Tensor]:
        return self.layer_norm(name, h) if f"{name}.gain" in self.weights else h

    def layer_norm(self, name: str, h: list[Tensor]) -> list[Tensor]:
        """LN of each token with its own gain and bias; of one flat vector by the gain's shape."""
        gain, bias = self.weights[f"{name}.gain"], self.weights[f"{name}.bias"]
        flat = torch.cat(h)
        tokens = flat.view(gain.shape) if gain.dim() == 2 else flat[None]
        pairs = zip(tokens, gain.view(tokens.shape), bias.view(tokens.shape), strict=True)
        return [normalised(x) * g + b for x, g, b in pairs]


def loss(own_logits: Tensor, labels: Tensor) -> Tensor:
    """The loss of 3.4.3: binary cross-entropy of each sample's own domain, summed."""
    total = own_logits.new_zeros(())
    for logits, ys in zip(own_logits, labels, strict=True):
        for logit, y in zip(logits, ys, strict=True):
            p = 1 / (1 + torch.exp(-logit))
            total = total - (y * torch.log(p) + (1 - y) * torch.log(1 - p))
    return total


def multi_head(
    q: Sequence[Tensor], k: Sequence[Tensor], v: Sequence[Tensor], heads: int
) -> list[Tensor]:
    """Scaled dot-product attention of each query on all keys, head by head, concatenated."""
    width, value = len(q[0]) // heads, len(v[0]) // heads
    result = []
    for query in q:
        parts = []
        for h in range(heads):
            at = slice(h * width, (h + 1) * width)
            scores = [(query[at] * key[at]).sum() / math.sqrt(width) for key in k]
            mixed = v[0].new_zeros(value)
            for share, one in zip(softmax(scores), v, strict=True):
                mixed = mixed + share * one[h * value : (h + 1) * value]
            parts.append(mixed)
        result.append(torch.cat(parts))
    return result


def softmax(scores: list[Tensor]) -> list[Tensor]:
    top = max(float(score.detach()) for score in scores)
    powers = [torch.exp(score - top) for score in scores]
    total = torch.stack(powers).sum()
    return [power / total for power in powers]


def normalised(x: Tensor) -> Tensor:
    centred = x - x.mean()
    return centred / (centred.square().mean() + EPSILON).sqrt()
