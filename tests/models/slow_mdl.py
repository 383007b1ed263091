"""What an MDL's tokenizers read, one sample and one action at a time, and its weights by symbol.

It feeds the reference of `tests/references/mdl.py`, which knows nothing of batches. Slow and
plain on purpose; it shares no code with `models`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from models.batch import Actions, Column, IdLists, Ids, UserBatch
from models.layout import FeatureField, Layout
from models.mdl import MdlConfig
from tests.references.mdl import Sample

Weights = Mapping[str, Tensor]


@dataclass(frozen=True)
class View:
    """One sample, and the actions that it may see."""

    batch: UserBatch
    user: int
    q: int
    n: int
    sequences: Mapping[str, tuple[Actions, list[int]]]
    """Of `history` and `recent`, the places of the visible actions."""


def view_of(batch: UserBatch, user: int, q: int, n: int) -> View:
    """All of the user's H, and of R what is strictly earlier than the request."""
    visible = {}
    for name, actions in (("history", batch.history), ("recent", batch.recent)):
        places = range(int(actions.offsets[user]), int(actions.offsets[user + 1]))
        before = int(batch.request_time_ms[q])
        visible[name] = (
            actions,
            [i for i in places if name == "history" or int(actions.time_ms[i]) < before],
        )
    return View(batch, user, q, n, visible)


class MdlInputs:
    """`MdlInputs(layout, config, groups, weights).samples(batch, membership)`, in float64."""

    def __init__(
        self,
        layout: Layout,
        config: MdlConfig,
        groups: Sequence[Sequence[str]],
        weights: Weights,
    ) -> None:
        self.layout, self.config, self.groups, self.weights = layout, config, groups, weights

    def samples(self, batch: UserBatch, membership: Sequence[Sequence[bool]]) -> list[Sample]:
        """All samples of the batch; `membership` of each request."""
        found = []
        for user in range(batch.n_users):
            for q in range(int(batch.request_offsets[user]), int(batch.request_offsets[user + 1])):
                for n in range(int(batch.sample_offsets[q]), int(batch.sample_offsets[q + 1])):
                    own = [s for s, member in enumerate(membership[q]) if member]
                    found.append(self.sample(view_of(batch, user, q, n), own))
        return found

    def sample(self, view: View, own: list[int]) -> Sample:
        scenarios = [*range(len(self.layout.scenarios)), None]
        streams = [
            None if stream is None else self.layout.actions.index(stream)
            for stream in self.layout.task_actions
        ]
        return Sample(
            features=self.features(view),
            scenario_inputs=[self.prompt(view, "scenario", scenario) for scenario in scenarios],
            task_inputs=[self.prompt(view, "action", stream) for stream in streams],
            scenarios=own,
        )

    def features(self, view: View) -> list[Tensor]:
        """e_1 … e_Nf."""
        batch, w = view.batch, self.weights
        of_request = {"@user": self.user("features", view)}
        for field in self.layout.request:
            column = batch.request_features[field.name]
            of_request[field.name] = self.field("features.request", field, column, view.q)
        of_request["@scenario"] = w["features.scenario.weight"][int(batch.scenario[view.q])]
        of_sample = {"@item": self.row("features", "item", int(batch.item[view.n]))}
        for field in self.layout.candidate:
            column = batch.sample_features[field.name]
            of_sample[field.name] = self.field("features.candidate", field, column, view.n)
        x = torch.cat(list(of_sample.values()))
        for name, (actions, places) in view.sequences.items():
            z = [self.action("features", actions, i) for i in places]
            of_request[f"@{name}"] = self.mean(z)
            of_sample[f"@{name}"] = self.target_attention(f"features.{name}", x, z)
        return [
            torch.cat(
                [of_request[name] for name in group if name in of_request]
                + [of_sample[name] for name in group if name in of_sample]
            )
            for group in self.groups
        ]

    def target_attention(self, name: str, x: Tensor, actions: list[Tensor]) -> Tensor:
        """1/n Σ_a SiLU(W_q x · W_k z_a / √E) W_v z_a."""
        w, width = self.weights, self.config.embedding
        q = w[f"{name}.query.weight"] @ x + w[f"{name}.query.bias"]
        total = torch.zeros(width, dtype=torch.float64)
        for z in actions:
            kv = w[f"{name}.key_value.weight"] @ z + w[f"{name}.key_value.bias"]
            score = (q * kv[:width]).sum() / width**0.5
            total = total + score / (1 + torch.exp(-score)) * kv[width:] / len(actions)
        return total

    def prompt(self, view: View, by: str, group: int | None) -> Tensor:
        """ê_imp ⊕ ê_spec of one token, what is of the request first; no group: all actions."""
        batch, layout = view.batch, self.layout
        user = self.user("prompts", view)
        of_request = self.important("request", layout.request, batch.request_features, view.q)
        specific = [
            self.mean(
                [
                    self.action("prompts", actions, i)
                    for i in places
                    if group is None or int(getattr(actions, by)[i]) == group
                ]
            )
            for actions, places in view.sequences.values()
        ]
        item = self.row("prompts", "item", int(batch.item[view.n]))
        of_sample = self.important("candidate", layout.candidate, batch.sample_features, view.n)
        return torch.cat([user, *of_request, *specific, item, *of_sample])

    def important(
        self, part: str, fields: Sequence[FeatureField], columns: Mapping[str, Column], i: int
    ) -> list[Tensor]:
        return [
            self.field(f"prompts.{part}", field, columns[field.name], i)
            for field in fields
            if field.name in self.config.important
        ]

    def user(self, part: str, view: View) -> Tensor:
        user = int(view.batch.user[view.user]) if self.config.user_ids else None
        return self.row(part, "user", user)

    def action(self, part: str, actions: Actions, i: int) -> Tensor:
        vector = self.weights[f"{part}.action.stream.weight"][int(actions.action[i])]
        vector = vector + self.row(part, "item", int(actions.item[i]))
        for field in self.layout.action:
            column = actions.features[field.name]
            vector = vector + self.field(f"{part}.action.features", field, column, i)
        return vector

    def mean(self, vectors: list[Tensor]) -> Tensor:
        if not vectors:
            return torch.zeros(self.config.embedding, dtype=torch.float64)
        return torch.stack(vectors).sum(0) / len(vectors)

    def field(self, name: str, field: FeatureField, column: Column, i: int) -> Tensor:
        part = name.split(".", maxsplit=1)[0]
        if isinstance(column, IdLists):
            first, last = column.offsets[i : i + 2].tolist()
            ids = column.values[first:last].tolist()
            return self.mean([self.row(part, field.table, one) for one in ids or [None]])
        if isinstance(column, Ids):
            present = bool(column.present[i])
            return self.row(part, field.table, int(column.values[i]) if present else None)
        slope, bias, missing = self.weights[f"{name}.numbers.number_{field.name}"]
        if not column.present[i]:
            return missing
        x = column.values[i].double()
        return slope * x.sign() * torch.log1p(x.abs()) + bias

    def row(self, part: str, table: str, hashed: int | None) -> Tensor:
        weight = self.weights[f"{part}.tables.by_name.table_{table}.weight"]
        return weight[0 if hashed is None else 1 + (hashed % 2**64) % self.config.tables.rows]


def by_symbol(w: Weights, shape: tuple[int, int, int, int]) -> dict[str, Tensor]:
    """A model's weights under the names of the reference; shape: F, S, K, blocks."""
    features, scenarios, tasks, blocks = shape
    named: dict[str, Tensor] = {}
    projections = dict.fromkeys(
        name.rpartition(".")[0] for name in w if name.startswith("features.projections.")
    )
    assert len(projections) == features
    for j, name in enumerate(projections):
        named |= {f"proj.{j}.W": w[f"{name}.weight"].T, f"proj.{j}.b": w[f"{name}.bias"]}
    prompt = "prompts.scenarios"
    for s in range(scenarios + 1):
        parts = [w[f"{prompt}.{part}.weight"][s].T for part in ("of_request", "of_sample")]
        named |= {
            f"ffn_s.{s}.W1": torch.cat(parts),
            f"ffn_s.{s}.b1": w[f"{prompt}.of_request.bias"][s],
            f"ffn_s.{s}.W2": w[f"{prompt}.second.weight"][s].T,
            f"ffn_s.{s}.b2": w[f"{prompt}.second.bias"][s],
        }
    prompt = "prompts.tasks"
    of_sample = w[f"{prompt}.of_sample.weight"]
    for n in range(tasks):
        parts = [w[f"{prompt}.of_request.weight"][n], of_sample.chunk(tasks)[n].T]
        named |= {
            f"ffn_t.{n}.W1": torch.cat(parts),
            f"ffn_t.{n}.b1": w[f"{prompt}.of_request.bias"][n, 0],
            f"ffn_t.{n}.W2": w[f"{prompt}.second.weight"][n],
            f"ffn_t.{n}.b2": w[f"{prompt}.second.bias"][n, 0],
            f"logits.{n}.w": w["out"][n],
            f"logits.{n}.b": w["out_bias"][n],
        }
    for block in range(blocks):
        named |= _block(w, block, shape)
    return named


def _block(w: Weights, block: int, shape: tuple[int, int, int, int]) -> dict[str, Tensor]:
    features, scenarios, tasks, blocks = shape
    at = f"blocks.{block}"
    named = {
        f"{block}.norm.gain": w[f"{at}.norm.weight"],
        f"{block}.norm.bias": w[f"{at}.norm.bias"],
    }
    for j in range(features):
        named |= _per_token(w, f"{at}.feature_ffn", f"{block}.ffn_f.{j}", j)
        for short, name in (("t", "task"), ("s", "scenario")):
            key_value = f"{at}.{name}_attention.key_value"
            k, v = w[f"{key_value}.weight"][j].chunk(2, dim=1)
            b_k, b_v = w[f"{key_value}.bias"][j, 0].chunk(2)
            attention = f"{block}.attn_{short}"
            named |= {f"{attention}.WK.{j}": k, f"{attention}.bK.{j}": b_k}
            named |= {f"{attention}.WV.{j}": v, f"{attention}.bV.{j}": b_v}
    for n in range(tasks):
        named |= _per_token(w, f"{at}.task_ffn", f"{block}.ffn_t.{n}", n)
        named[f"{block}.attn_t.WQ.{n}"] = w[f"{at}.task_attention.query.weight"][n]
        named[f"{block}.attn_t.bQ.{n}"] = w[f"{at}.task_attention.query.bias"][n, 0]
    for s in range(scenarios + 1):
        named[f"{block}.attn_s.WQ.{s}"] = w[f"{at}.scenario_attention.query.weight"][s].T
        named[f"{block}.attn_s.bQ.{s}"] = w[f"{at}.scenario_attention.query.bias"][s]
        if block < blocks - 1:
            for i, layer in ((1, "first"), (2, "second")):
                name = f"{at}.scenario_ffn.{layer}"
                named[f"{block}.ffn_s.{s}.W{i}"] = w[f"{name}.weight"][s].T
                named[f"{block}.ffn_s.{s}.b{i}"] = w[f"{name}.bias"][s]
    return named


def _per_token(w: Weights, name: str, symbol: str, token: int) -> dict[str, Tensor]:
    return {
        f"{symbol}.W1": w[f"{name}.first.weight"][token],
        f"{symbol}.b1": w[f"{name}.first.bias"][token, 0],
        f"{symbol}.W2": w[f"{name}.second.weight"][token],
        f"{symbol}.b2": w[f"{name}.second.bias"][token, 0],
    }
