"""Going back to a version: from its checkpoint on, as if what came after had not been."""

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from mlflow.tracking import MlflowClient

from learner import checkpoint
from learner.checkpoint import COMMIT, STATE, Checkpoints
from learner.journal import Journal
from learner.lineage import initial_lineage, next_lineage
from learner.lock import locked
from learner.retention import release
from learner.rewind import Rewind, rewind
from learner.settings import LearnerSettings
from millstream.cli import main
from schemas.errors import UserError
from schemas.windows.store import WindowStore
from tests.learner.forks import FORKS
from tests.learner.runs import (
    assert_same_state,
    assert_same_tensors,
    learn,
    newest,
    restored,
    shop,
)
from tests.learner.world import HOUR_MS, START_MS, write_window


def learned(folder: Path, windows: int = 6, **changes: object) -> LearnerSettings:
    """A state of six windows with a version every two; checkpoints between them are gone."""
    settings = replace(shop(folder, windows=windows), keep_checkpoints=1, whole_checkpoint_every=3)
    settings = replace(settings, **changes)  # type: ignore[arg-type]
    learn(settings)
    return settings


def lineage_after(settings: LearnerSettings, windows: int) -> str:
    lineage = initial_lineage(newest(settings).state["identity"])
    for manifest in WindowStore(settings.windows).windows()[:windows]:
        lineage = next_lineage(lineage, manifest.digest)
    return lineage


def start(index: int) -> int:
    return START_MS + index * HOUR_MS


def of_windows(folder: Path, settings: LearnerSettings, *indices: int) -> LearnerSettings:
    """A learner that was only ever given these windows."""
    other = replace(settings, windows=folder / "windows", state=folder / "state")
    for index in indices:
        write_window(other.windows, index)
    learn(other)
    return other


@pytest.mark.parametrize("model", ["dlrm_mlp", "mtfm"])
def test_after_skipping_the_weights_are_those_of_who_never_saw_the_windows(
    tmp_path: Path, model: str
) -> None:
    settings = learned(tmp_path, model=model)
    done = rewind(settings.state, lineage_after(settings, 2), skip=True)
    assert (done.windows, done.step) == (tuple(start(index) for index in range(2, 6)), 6)
    write_window(settings.windows, 6)
    assert learn(settings).windows == 1
    other = of_windows(tmp_path / "never", settings, 0, 1, 6)
    assert_same_tensors(restored(settings).model.state_dict(), restored(other).model.state_dict())
    ours, theirs = newest(settings).state["progress"], newest(other).state["progress"]
    assert ours["skipped"] == [start(index) for index in range(2, 6)]
    assert ours["lineage"] != theirs["lineage"]


def test_windows_that_are_kept_are_learned_again_to_the_same_weights(tmp_path: Path) -> None:
    settings = learned(tmp_path)
    before = restored(settings)
    done = rewind(settings.state, lineage_after(settings, 4), skip=False)
    assert done.windows == (start(4), start(5))
    assert learn(settings).windows == 2
    after = restored(settings)
    assert after.progress.lineage == before.progress.lineage
    assert_same_tensors(after.model.state_dict(), before.model.state_dict())


def test_what_was_logged_stays_and_what_is_learned_anew_has_steps_of_its_own(
    tmp_path: Path,
) -> None:
    settings = learned(tmp_path)
    path = settings.state / "metrics.jsonl"
    before = path.read_bytes()
    rewind(settings.state, lineage_after(settings, 4), skip=False)
    learn(settings)
    assert path.read_bytes().startswith(before)
    steps = [entry.step for entry, _ in Journal(path).since(len(before))]
    # The sixth window settles the fifth, which was scored anew at step 6. The fifth does not settle
    # the fourth once more: its predictions went with the last checkpoint that needed them.
    assert steps == [6, 6, 6, 7, 7]


def test_a_kept_window_that_was_built_again_is_learned_as_it_is_now(tmp_path: Path) -> None:
    settings = learned(tmp_path)
    rewind(settings.state, lineage_after(settings, 4), skip=False)
    folder = WindowStore(settings.windows).folder(start(5))
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    write_window(settings.windows, 5, users=31)
    assert learn(settings).windows == 2
    assert restored(settings).progress.lineage == lineage_after(settings, 6)


def test_a_second_rewind_goes_back_and_one_forth_again(tmp_path: Path) -> None:
    settings = learned(tmp_path)
    first, last = lineage_after(settings, 2), lineage_after(settings, 6)
    rewind(settings.state, first, skip=True)
    forth = rewind(settings.state, last, skip=True)
    assert forth == Rewind(last, (), skipped=True, step=6)
    back = rewind(settings.state, first, skip=False)
    assert back.windows == tuple(start(index) for index in range(2, 6))
    assert learn(settings).lineage_id == last


def test_what_stands_of_checkpoints_is_what_versions_and_the_newest_need(tmp_path: Path) -> None:
    settings = learned(tmp_path, windows=8)
    folder = settings.state / "checkpoints"
    checkpoints = Checkpoints(folder)
    assert len(checkpoints.pins.lineages()) == 4
    whole = {path.name for path in folder.glob("[0-9]*") if (path / STATE).exists()}
    assert whole == checkpoints.pins.checkpoints()
    for name in whole:
        checkpoints.read(folder / name)
    needed = {
        name for one in whole for name in json.loads((folder / one / COMMIT).read_text())["rows"]
    }
    found = {path.name for path in folder.glob("[0-9]*")}
    # All rows may have been written beside the newest, for the next checkpoint to build on.
    assert found - {f"{max(whole)}-rows"} == (whole | needed) - {f"{max(whole)}-rows"}
    assert found >= whole | needed
    for name in needed - whole:
        assert {file.name[:5] for file in (folder / name).iterdir()} <= {"rows-", COMMIT[:5]}


class Registry:
    """What a server has of versions: stands in for it where only their tags are asked for."""

    def __init__(self, *lineages: str) -> None:
        self.versions = [type("Version", (), {"tags": {"lineage_id": one}}) for one in lineages]

    def search_model_versions(self, query: str) -> list[object]:
        return list(self.versions)


def test_checkpoints_of_retired_versions_go_and_those_of_waiting_ones_stay(tmp_path: Path) -> None:
    settings = learned(tmp_path)
    checkpoints = Checkpoints(settings.state / "checkpoints")
    first, second, third = (lineage_after(settings, n) for n in (2, 4, 6))
    release(Registry(first), "shop", checkpoints.pins, lambda: {third})  # type: ignore[arg-type]
    assert checkpoints.pins.lineages() == {first, third}
    write_window(settings.windows, 6)
    learn(settings, register_every_windows=5)
    with pytest.raises(UserError, match=f"kept are those of lineages .*{first[:12]}"):
        rewind(settings.state, second, skip=True)
    rewind(settings.state, first, skip=True)


def test_nothing_goes_back_behind_a_rewind(tmp_path: Path) -> None:
    """A damaged checkpoint gives way to the one before it, but not to what a person left behind."""
    settings = learned(tmp_path, keep_checkpoints=5)
    rewind(settings.state, lineage_after(settings, 2), skip=True)
    path = max((settings.state / "checkpoints").glob("[0-9]*"))
    (path / STATE).write_text("{}")
    with pytest.raises(UserError, match="only damaged ones"):
        learn(settings)


def test_a_rewind_while_a_learner_runs_is_refused(tmp_path: Path) -> None:
    settings = learned(tmp_path, windows=2)
    with locked(settings.state), pytest.raises(UserError, match="that no learner uses.*process"):
        rewind(settings.state, lineage_after(settings, 2), skip=True)


def test_a_damaged_checkpoint_of_a_version_is_refused_and_nothing_is_changed(
    tmp_path: Path,
) -> None:
    settings = learned(tmp_path)
    checkpoints = Checkpoints(settings.state / "checkpoints")
    first = lineage_after(settings, 2)
    name = checkpoints.pins.of(first)
    assert name is not None
    (checkpoints.folder / name / "model.safetensors").write_bytes(b"damaged")
    before = newest(settings).state
    with pytest.raises(UserError, match="received a damaged one"):
        rewind(settings.state, first, skip=True)
    assert newest(settings).state == before


def test_a_folder_that_is_no_state_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected the state folder of a learner"):
        rewind(tmp_path, "0" * 64, skip=True)


def rewind_and_die(state: Path, lineage: str, writes: int) -> None:
    """A rewind that is killed before one of the files that it writes in the end."""
    write = checkpoint.write_json
    left = writes

    def deadly(path: Path, value: object) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        write(path, value)

    checkpoint.write_json = deadly
    torch.set_num_threads(1)
    rewind(state, lineage, skip=True)


@pytest.mark.parametrize(("writes", "happened"), [(0, False), (1, False), (2, True)])
def test_a_rewind_that_is_killed_has_happened_or_not_and_can_be_repeated(
    tmp_path: Path, writes: int, happened: bool
) -> None:
    """The state, its commit file, the mark that nothing older is gone back to."""
    settings = learned(tmp_path)
    calm = replace(settings, state=tmp_path / "calm")
    learn(calm)
    first, last = lineage_after(settings, 2), lineage_after(settings, 6)
    done = rewind(calm.state, first, skip=True)
    process = FORKS.Process(target=rewind_and_die, args=(settings.state, first, writes))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert restored(settings).progress.lineage == (done.lineage if happened else last)
    assert rewind(settings.state, first, skip=True) == done
    write_window(settings.windows, 6)
    learn(calm)
    learn(settings)
    assert_same_state(calm, settings)


@pytest.mark.slow
def test_from_the_shell_a_version_is_gone_back_to_and_lineage_tells_it(
    tmp_path: Path, mlflow_uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    named = {"experiment": "rewound", "registered_model": "rewound", "mlflow_patience_s": 120.0}
    settings = replace(shop(tmp_path, windows=4), mlflow=mlflow_uri, **named)
    run_id = learn(settings).run_id
    words = ["--mlflow", mlflow_uri, "--name", "rewound"]
    capsys.readouterr()
    assert main(["train", "rewind", "--to", "1", "--state", str(settings.state), *words]) == 0
    told = capsys.readouterr().out
    assert "goes on from rewound version 1" in told
    assert "windows since, skipped: 2" in told
    write_window(settings.windows, 4)
    summary = learn(settings)
    assert (summary.run_id, summary.versions) == (run_id, ("3",))
    assert main(["models", "explain", "3", *words, "--windows", str(settings.windows)]) == 0
    told = capsys.readouterr().out
    assert "learned 3 windows, skipped 2; their digests, hashed again, give this lineage" in told
    assert told.count("sealed  skipped by a rewind") == 2
    client = MlflowClient(mlflow_uri)
    tags = client.get_model_version("rewound", "3").tags
    assert (tags["windows"], tags["skipped_windows"]) == ("3", "2")
    assert run_id is not None
    history = client.get_metric_history(run_id, "click/all/auc")
    assert sorted(one.step for one in history) == [0, 1, 2, 3, 4]
    assert main(["train", "rewind", "--to", "9", "--state", str(settings.state), *words]) == 1
    assert "expected the number or an alias" in capsys.readouterr().err
