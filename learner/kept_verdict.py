"""Verdicts as named tensors, and back."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from learner.baselines import ItemCtr
from learner.metrics import Scorecard
from learner.scoring import Verdict
from learner.shadow import Shadow

Arrays = Mapping[str, npt.NDArray[Any]]
Parts = Mapping[str, Mapping[str, Tensor]]
_CARDS = {
    "metrics": "model",
    "domain_metrics": "by_domain",
    "origin_metrics": "by_origin",
    "baseline_metrics": "baseline",
}
"""Part → field of a verdict."""


def parts_of(verdict: Verdict) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
    """The tensors of a verdict by part, and the rest as JSON."""
    parts = {part: _sparse(getattr(verdict, field).arrays()) for part, field in _CARDS.items()}
    parts["baseline_items"] = {
        name: torch.from_numpy(array) for name, array in verdict.items.arrays().items()
    }
    shadow = verdict.shadow
    if shadow is not None:
        parts["champion_metrics"] = _sparse(shadow.champion.arrays())
        parts["challenger_metrics"] = _sparse(shadow.model.arrays())
    version = shadow.version if shadow else None
    return parts, {"unscored": verdict.unscored, "champion": version}


def verdict_of(parts: Parts, rest: Mapping[str, Any]) -> Verdict:
    """What `parts_of` was given."""
    cards = {field: _card(parts[part]) for part, field in _CARDS.items()}
    items = {name: tensor.numpy() for name, tensor in parts["baseline_items"].items()}
    version = rest["champion"]
    shadow = None
    if version is not None:
        champion, model = _card(parts["champion_metrics"]), _card(parts["challenger_metrics"])
        shadow = Shadow(version, champion, model)
    return Verdict(
        **cards, items=ItemCtr.from_arrays(items), unscored=rest["unscored"], shadow=shadow
    )


def _card(tensors: Mapping[str, Tensor]) -> Scorecard:
    return Scorecard.from_arrays(_dense(tensors))


def _sparse(arrays: Arrays) -> dict[str, Tensor]:
    """Histograms are mostly zeros: the places and values of what is not, and the shape."""
    stored = {}
    for name, array in arrays.items():
        flat = array.ravel()
        places = np.flatnonzero(flat)
        stored[f"{name}/places"] = torch.from_numpy(places)
        stored[f"{name}/values"] = torch.from_numpy(flat[places])
        stored[f"{name}/shape"] = torch.tensor(array.shape, dtype=torch.int64)
    return stored


def _dense(tensors: Mapping[str, Tensor]) -> dict[str, npt.NDArray[Any]]:
    arrays = {}
    for name in {key.rpartition("/")[0] for key in tensors}:
        values = tensors[f"{name}/values"].numpy()
        array = np.zeros(tensors[f"{name}/shape"].tolist(), dtype=values.dtype)
        array.ravel()[tensors[f"{name}/places"].numpy()] = values
        arrays[name] = array
    return arrays
