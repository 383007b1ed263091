"""A trained model on disk and back: safetensors, the spec's TOML and a little JSON.

weights.safetensors     all parameters and buffers, tables included
form.json               how the weights nest
model.json              name, preset and overrides; of a scenario's part the scenario
spec.toml               the stream spec, as it was
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from learner import tensors
from learner.requests import Request, request_batch
from learner.tree import flatten, unflatten
from models import create
from models.base import RankingModel
from models.layout import Layout
from schemas.durable import write_bytes, write_json
from schemas.spec import Spec, parse

NAMED = ("model", "preset", "overrides", "scenario")


@dataclass(frozen=True)
class Scorer:
    """A model that answers requests."""

    spec: Spec
    layout: Layout
    model: RankingModel

    @classmethod
    def load(cls, folder: Path) -> "Scorer":
        """What `save_scorer` wrote, on the CPU."""
        spec = parse((folder / "spec.toml").read_text(encoding="utf-8"), str(folder / "spec.toml"))
        named = json.loads((folder / "model.json").read_text())
        layout = Layout.of(spec)
        if "scenario" in named:
            layout = layout.of_scenario(named["scenario"])
        model = create(named["model"], layout, named["preset"], named["overrides"])
        form = json.loads((folder / "form.json").read_text())
        model.load_state_dict(unflatten(tensors.load(folder / "weights.safetensors"), form))
        return cls(spec, layout, model.eval())

    def score(self, requests: Sequence[Request]) -> list[dict[str, list[float]]]:
        """For each request and task, the probability of feedback for each candidate."""
        batch = request_batch(requests, self.spec, self.layout)
        with torch.no_grad():
            probabilities = self.model(batch).float().sigmoid()
        per_request = probabilities.split(batch.sample_offsets.diff().tolist())
        return [
            {task: part[:, k].tolist() for k, task in enumerate(self.layout.tasks)}
            for part in per_request
        ]


def save_scorer(
    folder: Path, state: Mapping[str, Tensor], named: Mapping[str, Any], spec_text: str
) -> None:
    """Write a model's state; `named` holds `model`, `preset` and `overrides`.

    Of a scenario's part it holds the `scenario` besides.
    """
    weights, form = flatten(state)
    tensors.save(folder / "weights.safetensors", weights)
    write_json(folder / "form.json", form)
    write_json(folder / "model.json", {key: named[key] for key in NAMED if key in named})
    write_bytes(folder / "spec.toml", spec_text.encode())
