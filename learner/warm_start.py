"""A new state that begins with another one's weights, under the same spec or one that has more."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from learner import state
from learner.baselines import ItemCtr
from learner.checkpoint import Checkpoints, Snapshot
from learner.lineage import initial_lineage
from learner.progress import Progress
from learner.scoring import Verdict
from learner.trainer import Trainer
from learner.tree import unflatten
from models.growth import check_grown, grown
from models.layout import Layout
from schemas.errors import UserError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WarmStart:
    """Where a state came from, and the names of parameters and tables by what became of them."""

    lineage: str
    """That it goes on from."""
    kept: tuple[str, ...]
    """Taken over as they were."""
    grown: tuple[str, ...] = ()
    """Partly taken over; the rest begins anew."""
    new: tuple[str, ...] = ()


def warm_start(trainer: Trainer, path: Path) -> WarmStart:
    """Give a new trainer the weights, optimisers and cursor of a checkpoint or state folder.

    Under the same spec and configuration it goes on exactly. Under a grown spec what both know is
    kept, the rest begins anew, and so does the lineage.

    Raises UserError for another model or configuration, or a spec that lacks what the old one has.
    """
    saved = _newest(path)
    if saved.state["identity"] == trainer.identity.to_json():
        state.restore(trainer, saved)
        names = (*trainer.dense_names, *trainer.tables)
        report = WarmStart(trainer.progress.lineage, kept=names)
    else:
        report = _grow(trainer, saved)
    for table in trainer.tables.values():
        table.all_changed()  # Of which the new state folder has nothing yet.
    log.info("began with the weights of %s", path)
    return report


def _newest(path: Path) -> Snapshot:
    if (path / "checkpoints").is_dir():
        saved, why = Checkpoints(path / "checkpoints").newest(), "a state folder without one"
    else:
        saved, why = _one(path)
    if saved is None:
        raise UserError(
            f"{path}: expected a whole checkpoint, or a state folder that holds one, received "
            f"{why}. Name the folder that another learner was given with --state."
        )
    return saved


def _one(path: Path) -> tuple[Snapshot | None, str]:
    try:
        return Checkpoints(path.parent).read(path), ""
    except (OSError, ValueError, KeyError, TypeError) as error:
        return None, f"something else ({error})"


def _grow(trainer: Trainer, saved: Snapshot) -> WarmStart:
    _expect_same_model(trainer, saved)
    old = Layout.from_json(saved.state["layout"])
    check_grown(old, trainer.layout)
    growth = _Growth(trainer, old)
    _grow_dense(trainer, saved, growth)
    _take_tables(trainer, saved, growth)
    progress = Progress.from_json(saved.state["progress"])
    anew = initial_lineage(trainer.identity.to_json() | {"grown_from": progress.lineage})
    trainer.progress = replace(
        progress, lineage=anew, grown_from=progress.lineage, grown_at=len(progress.consumed)
    )
    items = _grown_items(saved, old.tasks, trainer.layout.tasks)
    trainer.since_version = replace(Verdict.empty(trainer.layout), items=items)
    return WarmStart(progress.lineage, **{k: tuple(v) for k, v in growth.names.items()})


def _expect_same_model(trainer: Trainer, saved: Snapshot) -> None:
    expected, received = trainer.identity.to_json(), saved.state["identity"]
    for key in ("model", "preset", "overrides"):
        if expected[key] != received[key]:
            raise UserError(
                f"checkpoint: expected weights of {key} = {expected[key]!r}, received those of "
                f"{key} = {received[key]!r}. The spec may have grown, the model's configuration "
                "must be the same."
            )


class _Growth:
    """Takes over parameters and what belongs to them element by element."""

    def __init__(self, trainer: Trainer, old: Layout) -> None:
        self._axes = trainer.model.axes(trainer.layout), trainer.model.axes(old)
        self.names: dict[str, list[str]] = {"kept": [], "grown": [], "new": []}

    def of(self, name: str, fresh: Tensor, old: Tensor) -> Tensor | None:
        """The new values; None where the old ones do not fit."""
        new, before = (axes.get(name, ()) for axes in self._axes)
        return grown(fresh, old, tuple(zip(new, before, strict=True)))


@dataclass(frozen=True)
class _Learned:
    """What was learned of one dense parameter."""

    weight: Tensor
    mean: Tensor | None
    statistics: Mapping[str, Tensor]
    """Of the dense optimiser."""


def _learned(saved: Snapshot) -> dict[str, _Learned]:
    optimisers = unflatten(saved.parts["optimisers"], saved.state["optimisers_form"])
    means, statistics = optimisers["average"]["means"], optimisers["dense"]["state"]
    return {
        name: _Learned(
            weight=saved.parts["model"][name],
            mean=means[at] if means else None,
            statistics=statistics.get(at, {}),
        )
        for at, name in enumerate(saved.state["dense"])
    }


@torch.no_grad()
def _grow_dense(trainer: Trainer, saved: Snapshot, growth: _Growth) -> None:
    """Weights, running means and optimiser."""
    old, parameters = _learned(saved), dict(trainer.model.named_parameters())
    new = {}
    for name in trainer.dense_names:
        new[name] = _grown(name, parameters[name], old.get(name), growth)
        parameters[name].copy_(new[name].weight)
    before = unflatten(saved.parts["optimisers"], saved.state["optimisers_form"])
    optimisers = trainer.optimisers.state_dict()
    optimisers["dense"]["state"] = {
        at: dict(one.statistics) for at, one in enumerate(new.values()) if one.statistics
    }
    for group, old_group in zip(
        optimisers["dense"]["param_groups"], before["dense"]["param_groups"], strict=True
    ):
        group["taken"] = old_group.get("taken", 0)
    if optimisers["average"]["means"]:
        means = [one.weight if one.mean is None else one.mean for one in new.values()]
        optimisers["average"] = {"steps": before["average"]["steps"], "means": means}
    trainer.optimisers.load_state_dict(optimisers)


def _grown(name: str, fresh: Tensor, old: _Learned | None, growth: _Growth) -> _Learned:
    weight = None if old is None else growth.of(name, fresh, old.weight)
    if old is None or weight is None:
        growth.names["new"].append(name)
        return _Learned(fresh.clone(), None, {})
    growth.names["kept" if old.weight.shape == fresh.shape else "grown"].append(name)
    zeros = torch.zeros_like(fresh)
    statistics = {
        key: growth.of(name, zeros, one) if one.shape == old.weight.shape else one
        for key, one in old.statistics.items()
    }
    mean = None if old.mean is None else growth.of(name, weight, old.mean)
    return _Learned(weight, mean, {k: one for k, one in statistics.items() if one is not None})


def _take_tables(trainer: Trainer, saved: Snapshot, growth: _Growth) -> None:
    old = dict(zip(saved.state["tables"], saved.rows, strict=True))
    for name, table in trainer.tables.items():
        growth.names["kept" if name in old else "new"].append(name)
        if name in old:
            table.restore(old[name])


def _grown_items(saved: Snapshot, old: tuple[str, ...], new: tuple[str, ...]) -> ItemCtr:
    """The item baseline's counts; of a new task there are none."""
    counts = {name: one.numpy() for name, one in saved.parts["baseline_items"].items()}
    columns = [new.index(task) for task in old]
    for name in ("positives", "impressions"):
        whole = np.zeros((len(counts["items"]), len(new)), np.int64)
        whole[:, columns] = counts[name]
        counts[name] = whole
    return ItemCtr.from_arrays(counts)
