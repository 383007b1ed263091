"""Between a trainer and its snapshots, exact to the bit."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from learner.checkpoint import Snapshot
from learner.kept_verdict import parts_of, verdict_of
from learner.progress import Progress
from learner.trainer import Identity, Trainer
from learner.tree import flatten, unflatten
from schemas.errors import UserError


def snapshot(trainer: Trainer, journal_bytes: int) -> Snapshot:
    """A copy of everything that continuing exactly needs; of tables, what changed since the last.

    What it costs beside the dense weights is proportional to the rows that changed.
    """
    optimisers, optimisers_form = flatten(trainer.optimisers.state_dict())
    verdict, verdict_rest = parts_of(trainer.since_version)
    return Snapshot(
        parts={
            "model": _copies(trainer.dense_state()),
            "optimisers": _copies(optimisers),
            "random": _random_state(trainer.device),
            **verdict,
        },
        state={
            "identity": trainer.identity.to_json(),
            "progress": trainer.progress.to_json(),
            "verdict": verdict_rest,
            "journal_bytes": journal_bytes,
            "optimisers_form": optimisers_form,
            "tables": list(trainer.tables),
            "dense": list(trainer.dense_names),
            "layout": asdict(trainer.layout),
        },
        rows=[[table.changes()] for table in trainer.tables.values()],
        pin=trainer.progress.version_here,
    )


def restore(trainer: Trainer, saved: Snapshot) -> int:
    """Bring a trainer to where the snapshot was taken; the journal's length then.

    Raises UserError for a snapshot of another model, configuration or spec.
    """
    _expect_same(trainer.identity, saved.state["identity"])
    _restore_weights(trainer, saved)
    form = saved.state["optimisers_form"]
    trainer.optimisers.load_state_dict(unflatten(saved.parts["optimisers"], form))
    trainer.since_version = verdict_of(saved.parts, saved.state["verdict"])
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
