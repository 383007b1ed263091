"""A learner on a CUDA device: what it saves is continued there to the bit, and on the host."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

import models
from learner import state
from learner.checkpoint import Checkpoints
from learner.config import learner_config
from learner.cursor import Cursor
from learner.device import chosen_device
from learner.trainer import Identity, Trainer
from models.layout import Layout
from tests.learner.world import SPEC
from tests.models.builder import ODD_SHAPES, BatchBuilder

pytestmark = [pytest.mark.cuda, pytest.mark.parametrize("name", models.names())]


def trainer_on(name: str, device: str) -> Trainer:
    identity = Identity.of(SPEC, name, "tiny", learner_config(SPEC, name, "shop.toml"))
    return Trainer(SPEC, identity, chosen_device(device))


def train(trainer: Trainer, seeds: range) -> list[float | None]:
    builders = (BatchBuilder(seed, Layout.of(SPEC)) for seed in seeds)
    return [trainer.train(Cursor(0, 1), one.batch(ODD_SHAPES * 2)) for one in builders]


def predicted(trainer: Trainer) -> Tensor:
    return torch.as_tensor(trainer.predict(BatchBuilder(99, Layout.of(SPEC)).batch())).cpu()


def restored(name: str, device: str, folder: Path) -> Trainer:
    saved = Checkpoints(folder).newest()
    assert saved is not None
    trainer = trainer_on(name, device)
    state.restore(trainer, saved)
    return trainer


def test_a_checkpoint_of_the_device_is_continued_there_exactly(name: str, tmp_path: Path) -> None:
    trainer = trainer_on(name, "cuda")
    train(trainer, range(4))
    Checkpoints(tmp_path).save(state.snapshot(trainer, 0))
    resumed = restored(name, "cuda", tmp_path)
    assert train(resumed, range(4, 8)) == train(trainer, range(4, 8))
    assert torch.equal(predicted(resumed), predicted(trainer))


def test_a_checkpoint_of_the_device_is_continued_on_the_host(name: str, tmp_path: Path) -> None:
    trainer = trainer_on(name, "cuda")
    train(trainer, range(4))
    Checkpoints(tmp_path).save(state.snapshot(trainer, 0))
    resumed = restored(name, "cpu", tmp_path)
    torch.testing.assert_close(predicted(resumed), predicted(trainer), rtol=1e-3, atol=1e-4)
    on_host, on_device = train(resumed, range(4, 8)), train(trainer, range(4, 8))
    assert on_host == pytest.approx(on_device, rel=5e-3)
