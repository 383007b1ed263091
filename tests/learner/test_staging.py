"""Versions are made beside training, of the state as it was when they were begun."""

import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from learner import loop, tensors
from learner.cursor import Cursor
from learner.staging import Staged, Version
from learner.trainer import Trainer
from models.batch import UserBatch
from tests.learner.runs import assert_same_tensors, learn, shop


def test_training_goes_on_while_a_version_is_staged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first version is not begun to be written before the next window is half learned."""
    trained, train, stage = threading.Event(), Trainer.train, loop.stage

    def told(trainer: Trainer, cursor: Cursor, batch: UserBatch) -> float | None:
        loss = train(trainer, cursor, batch)
        if trainer.progress.step == 1:
            trained.set()
        return loss

    def late(root: Path, version: Version, tables: dict[str, Tensor]) -> Staged:
        assert trained.wait(60)
        return stage(root, version, tables)

    monkeypatch.setattr(Trainer, "train", told)
    monkeypatch.setattr(loop, "stage", late)
    settings = replace(shop(tmp_path, windows=2), register_every_windows=1)
    learn(settings)
    monkeypatch.undo()
    calm = replace(settings, state=tmp_path / "calm")
    learn(calm)
    assert_same_versions(settings.state, calm.state)


def assert_same_versions(one: Path, other: Path) -> None:
    versions = [sorted(path.name for path in (s / "versions").iterdir()) for s in (one, other)]
    assert versions[0] == versions[1] and len(versions[0]) == 2
    for name in versions[0]:
        for file in ("weights.safetensors", "lineage.json", "spec.toml"):
            left, right = ((s / "versions" / name / "model" / file) for s in (one, other))
            assert left.read_bytes() == right.read_bytes()
        tags = [(s / "versions" / name / "tags.json").read_text() for s in (one, other)]
        assert tags[0] == tags[1]


@pytest.mark.parametrize("whole_every", [1, 20])
def test_a_version_holds_the_rows_of_its_moment_whatever_checkpoints_they_are_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole_every: int
) -> None:
    crowded = "\n[learner]\nbatch_users = 8\n[models.dlrm_mlp]\n"
    crowded += "tables = { rows = 50, admit_after = 2, expire_after = 1 }\n"
    settings = replace(
        shop(tmp_path, windows=4, learner=crowded),
        checkpoint_every_batches=1,
        register_every_windows=1,
        whole_checkpoint_every=whole_every,
    )
    served: dict[str, dict[str, Tensor]] = {}
    begin = Trainer.begin_version

    def noted(trainer: Trainer) -> None:
        with trainer.optimisers.average.in_place():
            state = {name: one.clone() for name, one in trainer.model.state_dict().items()}
        served[trainer.progress.lineage[:16]] = state
        begin(trainer)

    monkeypatch.setattr(Trainer, "begin_version", noted)
    learn(settings)
    versions = sorted((settings.state / "versions").iterdir())
    assert len(versions) == len(served) == 4
    for version in versions:
        weights = tensors.load(version / "model" / "weights.safetensors")
        assert_same_tensors(weights, served[version.name.split("-")[1]])
        assert all(torch.isfinite(one).all() for name, one in weights.items() if "weight" in name)
