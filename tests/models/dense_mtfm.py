"""MTFM once more, straight from the paper's equations: one user, one token at a time, in float64.

Slow and plain on purpose: the N×N mask is built from the three rules, every head is a loop.
It shares no code with `models`; parameters come by name from a model's `named_parameters`.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from models.batch import Actions, Column, IdLists, Ids, UserBatch
from models.layout import FeatureField, Layout
from models.mtfm import MtfmConfig

Weights = Mapping[str, Tensor]
OUT = ("out", "out_bias")


class DenseMtfm:
    """The oracle: `DenseMtfm(layout, config, weights)(batch)` → logits [N, K]."""

    def __init__(self, layout: Layout, config: MtfmConfig, weights: Weights) -> None:
        self.layout, self.config, self.weights = layout, config, weights

    def __call__(self, batch: UserBatch) -> Tensor:
        return torch.cat([self.user(batch, user) for user in range(batch.n_users)])

    def user(self, batch: UserBatch, user: int) -> Tensor:
        """Logits of one user's samples, [N_E, K]."""
        tokens, groups, kinds, times = [], [], [], []
        n_streams = len(self.layout.actions)
        for kind, actions in (("H", batch.history), ("R", batch.recent)):
            for i in range(int(actions.offsets[user]), int(actions.offsets[user + 1])):
                group = int(actions.action[i]) + (n_streams if kind == "R" else 0)
                tokens.append(self.mlp("tokenizer.streams", group, self.action(actions, i)))
                groups.append(group)
                kinds.append(kind)
                times.append(int(actions.time_ms[i]))
        scenarios, features = [], []
        for q in range(int(batch.request_offsets[user]), int(batch.request_offsets[user + 1])):
            for n in range(int(batch.sample_offsets[q]), int(batch.sample_offsets[q + 1])):
                scenario = int(batch.scenario[q])
                scenarios.append(scenario)
                features.append(self.sample(batch, q, n))
                tokens.append(self.mlp("tokenizer.scenarios", scenario, features[-1]))
                groups.append(2 * n_streams + scenario)
                kinds.append("T")
                times.append(int(batch.request_time_ms[q]))
        x = torch.stack(tokens)  # (5)
        mask = dynamic_mask(kinds, times)
        layer = 0
        for _ in range(self.config.blocks):
            x = self.full(f"layers.{layer}", x, groups, mask)
            layer += 1
            for _ in range(self.config.target_layers):
                x = self.target(f"layers.{layer}", x, groups, mask, len(scenarios))
                layer += 1
        t = x[len(kinds) - len(scenarios) :]
        t = torch.cat([t, torch.stack(features)], dim=1)
        return torch.stack([self.mmoe(row, s) for row, s in zip(t, scenarios, strict=True)])

    def full(self, name: str, x: Tensor, groups: list[int], mask: Tensor) -> Tensor:
        """Equations (6) to (10)."""
        d = self.config.d_model
        kv = self.config.groups * (d // self.config.heads)
        normal = self.gln(f"{name}.norm_in", x, groups)
        u, q, k, v = silu(self.linear(f"{name}.f1", normal)).split([d, d, kv, kv], dim=1)
        a = self.attention(q, k, v, mask)
        gated = self.gln(f"{name}.norm_out", a, groups) * u
        return self.linear(f"{name}.f2", gated) + x

    def target(self, name: str, x: Tensor, groups: list[int], mask: Tensor, n: int) -> Tensor:
        """Equations (11) to (18); n = L_T."""
        first = len(x) - n
        d = self.config.d_model
        normal = self.gln(f"{name}.norm_in", x, groups)
        u, q = silu(self.linear(f"{name}.f_uq", normal[first:])).split([d, d], dim=1)
        k, v = silu(self.linear(f"{name}.f_kv", normal)).chunk(2, dim=1)
        a = self.attention(q, k, v, mask[first:])
        scenarios = [group - 2 * len(self.layout.actions) for group in groups[first:]]
        gated = self.gln(f"{name}.norm_out", a, scenarios) * u
        return torch.cat([x[:first], self.linear(f"{name}.f2", gated) + x[first:]])

    def attention(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
        """Equations (8), (9) and (15), (16): head h reads group g = ⌈h / r⌉, counted from 1."""
        heads, width = self.config.heads, self.config.d_model // self.config.heads
        r = heads // self.config.groups
        parts = []
        for h in range(1, heads + 1):
            g = -(-h // r)
            q_h = q[:, (h - 1) * width : h * width]
            k_g = k[:, (g - 1) * width : g * width]
            v_g = v[:, (g - 1) * width : g * width]
            parts.append(silu((q_h @ k_g.T) * mask) @ v_g)
        return torch.cat(parts, dim=1)

    def gln(self, name: str, x: Tensor, groups: list[int]) -> Tensor:
        """Equation (6): each token by its own mean and variance, gain and bias by group."""
        rows = []
        for token, group in zip(x, groups, strict=True):
            centred = token - token.mean()
            normal = centred / (centred.square().mean() + 1e-5).sqrt()
            gain, bias = self.weights[f"{name}.gain"][group], self.weights[f"{name}.bias"][group]
            rows.append(gain * normal + bias)
        return torch.stack(rows)

    def mmoe(self, t: Tensor, scenario: int) -> Tensor:
        """Experts shared; a gate and a tower for each (scenario, task): [K]."""
        w = self.weights
        experts = silu(self.linear("heads.experts", t)).view(self.config.experts, -1)
        gates = w["heads.gate.weight"][scenario] @ t + w["heads.gate.bias"][scenario]
        logits = []
        for task, gate in enumerate(gates.view(-1, self.config.experts)):
            mixed = (gate.softmax(0)[:, None] * experts).sum(0)
            out, out_bias = (w[f"heads.towers.{part}"][scenario, task] for part in OUT)
            logits.append((out * mixed).sum() + out_bias[0])
        return torch.stack(logits)

    def action(self, actions: Actions, i: int) -> Tensor:
        """Emb(h_ij) of equation (3)."""
        item = self.row("actions", "item", int(actions.item[i]))
        features = self.fields("action", "actions", self.layout.action, actions.features, i)
        return self.config.sequence_scale * torch.cat([item, *features])

    def sample(self, batch: UserBatch, q: int, n: int) -> Tensor:
        """Emb(U) ∥ Emb(C) ∥ Emb(I) of equation (4)."""
        u = self.fields("request", "samples", self.layout.request, batch.request_features, q)
        c = self.fields("candidate", "samples", self.layout.candidate, batch.sample_features, n)
        return torch.cat([*u, *c, self.row("samples", "item", int(batch.item[n]))])

    def fields(
        self,
        name: str,
        tables: str,
        fields: tuple[FeatureField, ...],
        columns: Mapping[str, Column],
        i: int,
    ) -> list[Tensor]:
        return [self.field(name, tables, field, columns[field.name], i) for field in fields]

    def field(self, name: str, tables: str, field: FeatureField, column: Column, i: int) -> Tensor:
        if isinstance(column, IdLists):
            bounds = column.offsets[i : i + 2].tolist()
            ids = column.values[bounds[0] : bounds[1]].tolist()
            rows = [self.row(tables, field.table, one) for one in ids or [None]]
            return torch.stack(rows).mean(0)
        if isinstance(column, Ids):
            present = bool(column.present[i])
            return self.row(tables, field.table, int(column.values[i]) if present else None)
        slope, bias, missing = self.weights[f"tokenizer.{name}.numbers.number_{field.name}"]
        if not column.present[i]:
            return missing
        x = column.values[i].double()
        return slope * x.sign() * torch.log1p(x.abs()) + bias

    def row(self, tables: str, table: str, hashed: int | None) -> Tensor:
        weight = self.weights[f"tokenizer.{tables}.by_name.table_{table}.weight"]
        return weight[0 if hashed is None else 1 + (hashed % 2**64) % self.config.tables.rows]

    def mlp(self, name: str, group: int, x: Tensor) -> Tensor:
        w = self.weights
        hidden = silu(w[f"{name}.first.weight"][group] @ x + w[f"{name}.first.bias"][group])
        return w[f"{name}.second.weight"][group] @ hidden + w[f"{name}.second.bias"][group]

    def linear(self, name: str, x: Tensor) -> Tensor:
        return x @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]


def dynamic_mask(kinds: list[str], times: list[int]) -> Tensor:
    """M [N, N], 1 where row i sees column j, by the paper's rules (1) to (3)."""
    n = len(kinds)
    mask = torch.zeros(n, n, dtype=torch.float64)
    for i in range(n):
        for j in range(n):
            if kinds[j] == "H":
                visible = True
            elif kinds[j] == "R":
                visible = kinds[i] != "H" and times[i] > times[j]
            else:
                visible = i == j
            mask[i, j] = float(visible)
    return mask


def silu(x: Tensor) -> Tensor:
    return x / (1 + torch.exp(-x))
