"""Checkpoints are whole or do not exist, and continue exactly."""

import signal
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from learner.checkpoint import COMMIT, Checkpoints, Snapshot
from learner.tree import flatten, unflatten
from schemas.errors import UserError
from tests.learner.runs import assert_same_state, learn, newest, shop


def snapshot(value: float) -> Snapshot:
    return Snapshot({"model": {"w": torch.full((3,), value)}}, {"at": value})


def test_the_newest_of_the_kept_checkpoints_comes_back(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=2)
    for value in (1.0, 2.0, 3.0):
        checkpoints.save(snapshot(value))
    found = checkpoints.newest()
    assert found is not None
    assert found.state == {"at": 3.0}
    assert found.parts["model"]["w"].tolist() == [3.0] * 3
    assert len(list(tmp_path.iterdir())) == 2


def test_a_folder_without_its_commit_file_does_not_exist(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(snapshot(1.0))
    (checkpoints.save(snapshot(2.0)) / COMMIT).unlink()
    found = checkpoints.newest()
    assert found is not None
    assert found.state == {"at": 1.0}


@pytest.mark.parametrize("name", ["model.safetensors", "state.json", COMMIT])
def test_a_damaged_checkpoint_gives_way_to_an_older_one_and_says_so(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(snapshot(1.0))
    path = checkpoints.save(snapshot(2.0)) / name
    path.write_bytes(path.read_bytes()[:-3])
    found = checkpoints.newest()
    assert found is not None
    assert found.state == {"at": 1.0}
    assert "checkpoint damaged" in caplog.text


def test_nothing_but_damaged_checkpoints_never_means_starting_anew(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    (checkpoints.save(snapshot(1.0)) / "state.json").write_text("{}")
    with pytest.raises(UserError, match="only damaged ones"):
        checkpoints.newest()


def test_a_state_dictionary_survives_the_way_through_tensors_and_json() -> None:
    shared = torch.arange(4.0)
    tree = {
        "state": {0: {"step": torch.tensor(3.0), "w": shared[:2]}},
        "groups": [{"betas": (0.9, 1)}],
    }
    tensors, form = flatten(tree)
    again = unflatten(tensors, form)
    assert again["groups"] == tree["groups"]
    assert torch.equal(again["state"][0]["w"], shared[:2])


def test_stopping_in_any_window_and_going_on_ends_in_the_same_state(tmp_path: Path) -> None:
    settings = shop(tmp_path, windows=4)
    calm = replace(settings, state=tmp_path / "calm")
    learn(calm)
    for delay_s in (0.05, 0.15, 0.3):
        timer = threading.Timer(delay_s, signal.raise_signal, [signal.SIGTERM])
        timer.start()
        learn(settings, mode="follow", until_final=True, poll_s=0.5)
        timer.join()
    (settings.windows / "_FINAL").touch()
    summary = learn(settings, mode="follow", until_final=True)
    assert not summary.stopped
    assert_same_state(calm, settings)


def test_a_state_of_another_model_or_configuration_is_refused(tmp_path: Path) -> None:
    settings = shop(tmp_path, windows=1)
    learn(settings)
    with pytest.raises(UserError, match=r"expected the state of model = 'mtfm'.*'dlrm_mlp'"):
        learn(settings, model="mtfm")
    settings.spec.write_text(settings.spec.read_text() + "seed = 5\n")
    with pytest.raises(UserError, match="expected the state of learner"):
        learn(settings)


def test_a_checkpoint_holds_no_pickle(tmp_path: Path) -> None:
    settings = shop(tmp_path, windows=1)
    learn(settings)
    names = {path.suffix for path in (settings.state / "checkpoints").glob("[0-9]*/*")}
    assert names == {".safetensors", ".json"}
    assert newest(settings).state["progress"]["consumed"]
