"""What may go wrong around a learner: training goes on or stops cleanly, its state whole."""

import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from mlflow.tracking import MlflowClient

from learner.daemon import run
from learner.journal import Entry, Journal
from learner.settings import LearnerSettings
from schemas.errors import UserError
from tests.full_disk import files_of_at_most
from tests.learner.faulty_server import Fault, proxied
from tests.learner.forks import FORKS
from tests.learner.runs import assert_same_state, learn, newest, restored, shop
from tests.learner.world import write_window


def named(folder: Path, name: str) -> LearnerSettings:
    settings = shop(folder, windows=4)
    return replace(settings, experiment=name, registered_model=name, mlflow_patience_s=120.0)


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["down", "500"])
def test_while_mlflow_fails_training_goes_on_and_nothing_is_lost_or_doubled(
    tmp_path: Path, mlflow_uri: str, fault: Fault, caplog: pytest.LogCaptureFixture
) -> None:
    settings = named(tmp_path, f"faulty-{fault}")
    learned_meanwhile: list[int] = []
    with proxied(mlflow_uri) as proxy:
        proxy.fault = fault

        def mend() -> None:
            journal = Journal(settings.state / "metrics.jsonl")
            while len(learned_meanwhile) < 8:  # two entries a window
                learned_meanwhile[:] = [1 for _ in journal.since(0)]
                time.sleep(0.05)
            time.sleep(1.0)
            proxy.fault = "none"

        thread = threading.Thread(target=mend)
        thread.start()
        summary = learn(settings, mlflow=proxy.uri)
        thread.join()
    assert proxy.refused > 0
    assert (summary.windows, summary.unsent) == (4, 0)
    assert "MLflow did not take it, again in" in caplog.text
    assert_complete(MlflowClient(mlflow_uri), settings, summary.run_id)


def assert_complete(client: MlflowClient, settings: LearnerSettings, run_id: str | None) -> None:
    """Every window's metrics are in the run once, and both versions in the registry, once."""
    assert run_id is not None
    steps = sorted(one.step for one in client.get_metric_history(run_id, "click/all/auc"))
    assert steps == [0, 1, 2, 3]
    versions = client.search_model_versions(f"name='{settings.registered_model}'")
    lineages = [one.tags["lineage_id"] for one in versions]
    assert len(lineages) == len(set(lineages)) == 2
    assert restored(settings).progress.lineage in lineages


@pytest.mark.slow
def test_a_version_that_a_slow_server_registered_twice_is_there_once_in_the_end(
    tmp_path: Path, mlflow_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does what it was asked after the client has given up, and asked again."""
    settings = named(tmp_path, "slow")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "4")
    with proxied(mlflow_uri) as proxy:
        proxy.fault, proxy.slow_s, proxy.slow_path = "slow", 6.0, "/model-versions/create"

        def mend() -> None:
            while not any(path.endswith(proxy.slow_path) for path in proxy.seen):
                time.sleep(0.05)
            time.sleep(9.0)
            proxy.fault = "none"

        thread = threading.Thread(target=mend)
        thread.start()
        summary = learn(settings, mlflow=proxy.uri)
        thread.join()
        assert summary.unsent == 0
        time.sleep(3.0)  # until the last thing that was asked is done
        assert sum(path.endswith(proxy.slow_path) for path in proxy.seen) >= 3  # all were done
        learn(settings, mlflow=proxy.uri)
    assert_complete(MlflowClient(mlflow_uri), settings, summary.run_id)


@pytest.mark.parametrize(("every", "what"), [(3, "checkpoint"), (100, "version")])
def test_a_disk_that_fills_stops_the_learner_and_room_lets_it_go_on(
    tmp_path: Path, every: int, what: str
) -> None:
    settings = replace(shop(tmp_path, windows=2), preset="demo", checkpoint_every_batches=every)
    calm = replace(settings, state=tmp_path / "calm")
    learn(settings)
    learn(calm)
    for index in (2, 3):
        write_window(settings.windows, index)
    journal = (settings.state / "metrics.jsonl").stat().st_size
    room = 4 * journal  # for what is logged and kept, and not for the weights
    assert max(p.stat().st_size for p in settings.state.rglob("*.safetensors")) > room
    before = newest(settings).state["progress"]
    with (
        files_of_at_most(room),
        pytest.raises(UserError, match=f"expected room for a {what}, received.*Make room"),
    ):
        learn(settings)
    assert newest(settings).state["progress"] == before
    learn(settings)
    learn(calm)
    assert_same_state(calm, settings)


def test_a_damaged_newest_checkpoint_costs_work_and_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = shop(tmp_path, windows=3)
    calm = replace(settings, state=tmp_path / "calm")
    learn(settings)
    learn(calm)
    path = max((settings.state / "checkpoints").glob("[0-9]*"))
    whole = (path / "model.safetensors").read_bytes()
    (path / "model.safetensors").write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    learn(settings)
    assert "checkpoint damaged, trying the one before it" in caplog.text
    assert_same_state(calm, settings)


def test_a_clock_that_goes_backwards_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = shop(tmp_path, windows=3)
    calm = replace(settings, state=tmp_path / "calm")
    learn(calm)
    now = time.time() + 1e6

    def backwards() -> float:
        nonlocal now
        now -= 3600.0
        return now

    with monkeypatch.context() as patched:
        patched.setattr(time, "time", backwards)
        learn(settings)
    assert_same_state(calm, settings)


def follow(settings: LearnerSettings) -> None:
    torch.set_num_threads(1)
    run(replace(settings, mode="follow"))


def test_of_two_learners_on_one_state_the_second_is_refused_and_the_first_goes_on(
    tmp_path: Path,
) -> None:
    settings = shop(tmp_path, windows=1)
    calm = replace(settings, state=tmp_path / "calm")
    first = FORKS.Process(target=follow, args=(settings,))
    first.start()
    while not (settings.state / "metrics.jsonl").exists():
        assert first.exitcode is None
        time.sleep(0.05)
    with pytest.raises(UserError, match=f"that process {first.pid} holds. Stop that learner"):
        learn(settings)
    write_window(settings.windows, 1)
    deadline = time.monotonic() + 120
    while len(list(Journal(settings.state / "metrics.jsonl").since(0))) < 4:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    first.terminate()  # SIGTERM: the batch at hand is finished, the state saved
    first.join()
    assert first.exitcode == 0
    learn(settings)
    learn(calm)
    assert_same_state(calm, settings)


@pytest.mark.slow
def test_a_champion_that_no_learner_registered_is_named_and_training_goes_on(
    tmp_path: Path, mlflow_uri: str, caplog: pytest.LogCaptureFixture
) -> None:
    settings = replace(named(tmp_path, "foreign"), mlflow=mlflow_uri)
    client = MlflowClient(mlflow_uri)
    client.create_registered_model("foreign")
    run_id = client.create_run(client.create_experiment("foreign-runs")).info.run_id
    client.log_text(run_id, "weights of another kind", "model/weights.bin")
    source = f"{client.get_run(run_id).info.artifact_uri}/model"
    client.create_model_version("foreign", source, run_id)
    client.set_registered_model_alias("foreign", "champion", "1")
    summary = learn(settings)
    assert (summary.windows, summary.unsent) == (4, 0)
    told = "foreign, version 1: expected a champion that a learner registered"
    assert caplog.text.count(told) == 1
    entries = [entry for entry, _ in Journal(settings.state / "metrics.jsonl").since(0)]
    assert not any(name.startswith("champion/") for one in entries for name in one.metrics)


def test_a_disk_without_room_for_metrics_is_said_in_a_paragraph(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "metrics.jsonl")
    entry = Entry(0, 0, 1, {f"click/home/{n}": 0.5 for n in range(100)})
    with files_of_at_most(100), pytest.raises(UserError, match="expected room for metrics.*Make"):
        journal.append(entry)
