"""Between a trainer and its snapshots, exact to the bit."""

from collections.abc import Mapping
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
    """Everything that continuing exactly needs."""
    model, model_form = flatten(trainer.model.state_dict())
    optimisers, optimisers_form = flatten(trainer.optimisers.state_dict())
    verdict, verdict_rest = parts_of(trainer.since_version)
    return Snapshot(
        parts={
            "model": model,
            "optimisers": optimisers,
            "random": _random_state(trainer.device),
            **verdict,
        },
        state={
            "identity": trainer.identity.to_json(),
            "progress": trainer.progress.to_json(),
            "verdict": verdict_rest,
            "journal_bytes": journal_bytes,
            "forms": {"model": model_form, "optimisers": optimisers_form},
        },
    )


def restore(trainer: Trainer, saved: Snapshot) -> int:
    """Bring a trainer to where the snapshot was taken; the journal's length then.

    Raises UserError for a snapshot of another model, configuration or spec.
    """
    _expect_same(trainer.identity, saved.state["identity"])
    forms = saved.state["forms"]
    trainer.model.load_state_dict(unflatten(saved.parts["model"], forms["model"]))
    trainer.optimisers.load_state_dict(unflatten(saved.parts["optimisers"], forms["optimisers"]))
    trainer.since_version = verdict_of(saved.parts, saved.state["verdict"])
    trainer.progress = Progress.from_json(saved.state["progress"])
    _restore_random(saved.parts["random"], trainer.device)
    return int(saved.state["journal_bytes"])


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
