"""INFNet's inputs and weights as its reference wants them, one sample and one action at a time.

Tokens are made from a batch by loops, from the rules of docs/models/infnet.md; weights are views
of a model's parameters under the paper's names, so that gradients come back to the parameters.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from models.batch import Actions, Column, IdLists, Ids, UserBatch
from models.infnet import InfnetConfig
from models.layout import FeatureField, Layout
from tests.models.builder import LAYOUT
from tests.references.infnet import Behaviors, Sample, infnet

Weights = Mapping[str, Tensor]
GROUPS = ("C", "S", "T")


def slow_logits(layout: Layout, config: InfnetConfig, weights: Weights, batch: UserBatch) -> Tensor:
    """The reference's logits [N, K] with a model's parameters by name."""
    return infnet(SlowTokens(layout, config, weights).samples(batch), named(weights), config.blocks)


class SlowTokens:
    """What enters the reference, sample by sample."""

    def __init__(self, layout: Layout, config: InfnetConfig, weights: Weights) -> None:
        self.layout, self.config, self.weights = layout, config, weights
        self.of_actions = "tables" if config.sequence_scale == 1 else "own"

    def samples(self, batch: UserBatch) -> list[Sample]:
        samples = []
        for user in range(batch.n_users):
            for q in range(int(batch.request_offsets[user]), int(batch.request_offsets[user + 1])):
                behaviors = self.behaviors(batch, user, int(batch.request_time_ms[q]))
                for n in range(int(batch.sample_offsets[q]), int(batch.sample_offsets[q + 1])):
                    samples.append(Sample(self.categorical(batch, q, n), behaviors))
        return samples

    def categorical(self, batch: UserBatch, q: int, n: int) -> Tensor:
        """Scenario, request's features, candidate's features, item: [N_c, d]."""
        scenario = self.weights["categorical.scenario"][int(batch.scenario[q])]
        request = self.fields("categorical.request", self.layout.request, batch.request_features, q)
        candidate = self.fields(
            "categorical.candidate", self.layout.candidate, batch.sample_features, n
        )
        return torch.stack([scenario, *request, *candidate, self.row("item", int(batch.item[n]))])

    def behaviors(self, batch: UserBatch, user: int, at_ms: int) -> list[Behaviors]:
        """Of each stream: all of H, then what of R is strictly earlier."""
        found: list[list[tuple[Tensor, int]]] = [[] for _ in self.layout.actions]
        for actions, is_recent in ((batch.history, False), (batch.recent, True)):
            for i in range(int(actions.offsets[user]), int(actions.offsets[user + 1])):
                time_ms = int(actions.time_ms[i])
                if not is_recent or time_ms < at_ms:
                    found[int(actions.action[i])].append((self.raw(actions, i), at_ms - time_ms))
        return [self.of_type(one) for one in found]

    def of_type(self, found: list[tuple[Tensor, int]]) -> Behaviors:
        """Positions count from the newest; the last one is shared by all that are older."""
        last = self.config.positions - 1
        e = [raw for raw, _ in found]
        return Behaviors(
            e=torch.stack(e) if e else torch.zeros(0, self.config.width, dtype=torch.float64),
            position=[min(len(found) - 1 - t, last) for t in range(len(found))],
            interval=[interval(age_ms) for _, age_ms in found],
        )

    def raw(self, actions: Actions, i: int) -> Tensor:
        e = self.row("item", int(actions.item[i]), self.of_actions)
        fields = self.layout.action
        for one in self.fields("sequence.features", fields, actions.features, i, self.of_actions):
            e = e + one
        e = self.config.sequence_scale * e
        e = e + self.weights["sequence.stream"][int(actions.action[i])]
        return e + self.weights["sequence.scenario"][1 + int(actions.scenario[i])]

    def fields(
        self,
        name: str,
        fields: tuple[FeatureField, ...],
        columns: Mapping[str, Column],
        i: int,
        tables: str = "tables",
    ) -> list[Tensor]:
        return [self.field(name, field, columns[field.name], i, tables) for field in fields]

    def field(self, name: str, field: FeatureField, column: Column, i: int, tables: str) -> Tensor:
        if isinstance(column, IdLists):
            bounds = column.offsets[i : i + 2].tolist()
            ids = column.values[bounds[0] : bounds[1]].tolist()
            return torch.stack([self.row(field.table, one, tables) for one in ids or [None]]).mean(
                0
            )
        if isinstance(column, Ids):
            present = bool(column.present[i])
            return self.row(field.table, int(column.values[i]) if present else None, tables)
        number = float(column.values[i]) if column.present[i] else None
        return self.weights[f"{name}.numbers.number_{field.name}.weight"][bucket(number)]

    def row(self, table: str, hashed: int | None, tables: str = "tables") -> Tensor:
        weight = self.weights[f"{tables}.by_name.table_{table}.weight"]
        return weight[0 if hashed is None else 1 + (hashed % 2**64) % self.config.tables.rows]


def bucket(number: float | None) -> int:
    """Row 0 is missing; 127 bounds from 2^-12 to 2^30, three a doubling, on each side of zero."""
    if number is None:
        return 0
    if abs(number) < 2**-12:
        return 128
    size = min(1 + math.floor(3 * (math.log2(abs(number)) + 12)), 127)
    return 128 + (size if number > 0 else -size)


def interval(age_ms: int) -> int:
    """0 below a second, then two a doubling up to 2^26 seconds."""
    if age_ms < 1000:
        return 0
    return min(1 + math.floor(2 * math.log2(age_ms / 1000)), 53)


def named(weights: Weights) -> dict[str, Tensor]:
    """The parameters under the names of tests/references/infnet.py."""
    result = {
        "p": weights["sequence.position"],
        "r": weights["sequence.interval"],
        "T": weights["task.own"],
        "T_shared": weights["task.shared"],
    }
    if "categorical_hubs.phi.0.weight" in weights:
        result |= layers("phi_cat", "categorical_hubs.phi", weights)
        for layer, name in enumerate(("first", "second")):
            for part, short in (("weight", "W"), ("bias", "b")):
                for b, one in enumerate(weights[f"sequence_hubs.{name}.{part}"]):
                    result[f"mlp_seq.{b}.{layer}.{short}"] = one
    else:
        result |= unread(weights)
    for k, out in enumerate(weights["heads.out"]):
        result[f"head.{k}.0.W"] = weights["heads.first.weight"][k].T
        result[f"head.{k}.0.b"] = weights["heads.first.bias"][k, 0]
        result[f"head.{k}.1.W"] = out[None]
        result[f"head.{k}.1.b"] = weights["heads.out_bias"][k][None]
    for name in weights:
        if name.startswith("blocks.") and name.endswith("fusion.weight"):
            _, block, _, group, *_ = name.split(".")
            result |= of_block(int(block), group, weights)
    return result


def unread(weights: Weights) -> dict[str, Tensor]:
    """Hubs that a single block reads nowhere: the reference makes them all the same."""
    d = weights["task.own"].shape[1]
    n_categorical = 2 + len(LAYOUT.request) + len(LAYOUT.candidate)
    shapes = {f"mlp_seq.{b}.0": (d, d) for b in range(len(LAYOUT.actions))}
    shapes["phi_cat.0"] = (d, n_categorical * d)
    zeros = {f"{name}.W": torch.zeros(*shape).double() for name, shape in shapes.items()}
    return zeros | {f"{name}.b": torch.zeros(d).double() for name in shapes}


def of_block(block: int, group: str, weights: Weights) -> dict[str, Tensor]:
    ours, name = f"blocks.{block}", f"block.{block}.{group}"
    result = {
        f"{name}.fuse.W": weights[f"{ours}.aggregate.{group}.fusion.weight"],
        f"{name}.fuse.b": weights[f"{ours}.aggregate.{group}.fusion.bias"],
    }
    for norm, phase in (("hub_norm", "aggregate"), ("token_norm", "broadcast")):
        result[f"{name}.{norm}.gain"] = weights[f"{ours}.{phase}.{group}.norm.weight"]
        result[f"{name}.{norm}.bias"] = weights[f"{ours}.{phase}.{group}.norm.bias"]
    for i, view in enumerate(GROUPS):
        key = f"{ours}.aggregate.{group}.views.{i}.projections"
        for part, one in zip("QKV", weights.get(key, ()), strict=False):
            result[f"{name}.{view}.W{part}"] = one.T
    return result | layers(f"{name}.mlp_bgu", f"{ours}.broadcast.{group}.modulation", weights)


def layers(name: str, ours: str, weights: Weights) -> dict[str, Tensor]:
    """Two linear layers of an `nn.Sequential` with an activation between."""
    return {
        f"{name}.{layer}.{short}": weights[f"{ours}.{2 * layer}.{part}"]
        for layer in range(2)
        for part, short in (("weight", "W"), ("bias", "b"))
    }
