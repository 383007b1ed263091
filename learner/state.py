"""Between a trainer and its snapshots, exact to the bit."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from learner.baselines import ItemCtr
from learner.checkpoint import Snapshot
from learner.metrics import Scorecard
from learner.progress import Progress
from learner.scoring import Verdict
from learner.trainer import Identity, Trainer
from learner.tree import flatten, unflatten
from schemas.errors import UserError

Arrays = Mapping[str, npt.NDArray[Any]]


def snapshot(trainer: Trainer, journal_bytes: int) -> Snapshot:
    """A copy of everything that continuing exactly needs; of tables, what changed since the last.

    What it costs beside the dense weights is proportional to the rows that changed.
    """
    optimisers, optimisers_form = flatten(trainer.optimisers.state_dict())
    verdict = trainer.since_version
    return Snapshot(
        parts={
            "model": _copies(trainer.dense_state()),
            "optimisers": _copies(optimisers),
            "random": _random_state(trainer.device),
            "metrics": _sparse(verdict.model.arrays()),
            "baseline_metrics": _sparse(verdict.baseline.arrays()),
            "baseline_items": _tensors(verdict.items.arrays()),
        },
        state={
            "identity": trainer.identity.to_json(),
            "progress": trainer.progress.to_json(),
            "unscored": verdict.unscored,
            "journal_bytes": journal_bytes,
            "optimisers_form": optimisers_form,
            "tables": list(trainer.tables),
            "dense": list(trainer.dense_names),
            "layout": asdict(trainer.layout),
        },
        rows=[[table.changes()] for table in trainer.tables.values()],
    )


def restore(trainer: Trainer, saved: Snapshot) -> int:
    """Bring a trainer to where the snapshot was taken; the journal's length then.

    Raises UserError for a snapshot of another model, configuration or spec.
    """
    _expect_same(trainer.identity, saved.state["identity"])
    _restore_weights(trainer, saved)
    form = saved.state["optimisers_form"]
    trainer.optimisers.load_state_dict(unflatten(saved.parts["optimisers"], form))
    trainer.since_version = Verdict(
        model=Scorecard.from_arrays(_dense(saved.parts["metrics"])),
        baseline=Scorecard.from_arrays(_dense(saved.parts["baseline_metrics"])),
        items=ItemCtr.from_arrays(_arrays(saved.parts["baseline_items"])),
        unscored=saved.state["unscored"],
    )
    trainer.progress = Progress.from_json(saved.state["progress"])
    _restore_random(saved.parts["random"], trainer.device)
    return int(saved.state["journal_bytes"])


@torch.no_grad()
def _restore_weights(trainer: Trainer, saved: Snapshot) -> None:
    """Names and shapes follow from the identity, unless other software wrote the snapshot."""
    state, weights = trainer.dense_state(), saved.parts["model"]
    try:
        if (state.keys(), list(trainer.tables)) != (weights.keys(), saved.state["tables"]):
            raise ValueError("weights of other names")
        for name, tensor in state.items():
            tensor.copy_(weights[name])
        for table, changes in zip(trainer.tables.values(), saved.rows, strict=True):
            table.restore(changes)
    except (ValueError, RuntimeError, KeyError) as error:
        raise UserError(
            f"checkpoint: expected the weights of {trainer.identity.model} as this version of "
            f"the software builds it, received others ({error}). Continue with the version that "
            "wrote the state, or name an empty state folder to train from the first window."
        ) from error


def _copies(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


def _expect_same(own: Identity, stored: Mapping[str, Any]) -> None:
    expected = own.to_json()
    differing = [key for key in expected if expected[key] != stored.get(key)]
    if differing:
        key = differing[0]
        raise UserError(
            f"checkpoint: expected the state of {key} = {expected[key]!r}, as the spec and the "
            f"command say, received one of {key} = {stored.get(key)!r}. Continue with what the "
            "state was made by, or name an empty state folder to train from the first window."
        )


def _random_state(device: torch.device) -> dict[str, Tensor]:
    state = {"cpu": torch.get_rng_state()}
    return state | ({"cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else {})


def _restore_random(state: Mapping[str, Tensor], device: torch.device) -> None:
    torch.set_rng_state(state["cpu"])
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)


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


def _tensors(arrays: Arrays) -> dict[str, Tensor]:
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def _arrays(tensors: Mapping[str, Tensor]) -> dict[str, npt.NDArray[Any]]:
    return {name: tensor.numpy() for name, tensor in tensors.items()}
