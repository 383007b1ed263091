"""Moving the champion, from the shell and past it, on a real MLflow server."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from learner.daemon import Daemon
from learner.journal import Journal
from learner.promotion import ELSEWHERE, Move, before_present, champion_of, history, note_moves
from learner.settings import LearnerSettings
from millstream.cli import main
from tests.learner.runs import NOWHERE, learn, shop
from tests.learner.world import write_window


def moves(*served: str) -> list[Move]:
    """Promotions by number; `<2` is a rollback to 2."""
    return [Move(one.strip("<"), "", "", "", "", one[0] == "<") for one in served]


@pytest.mark.parametrize(
    ("served", "before"),
    [
        ([], None),
        (["1"], None),
        (["1", "2"], "1"),
        (["1", "2", "3", "<2"], "1"),
        (["1", "2", "<1"], None),
        (["1", "2", "<1", "3"], "1"),
        (["1", "2", "1"], "2"),
    ],
)
def test_a_second_rollback_goes_further_back(served: list[str], before: str | None) -> None:
    assert before_present(moves(*served)) == before


@pytest.mark.slow
class TestOnAServer:
    """Versions are registered once for the whole class."""

    @pytest.fixture(scope="class")
    @classmethod
    def client(cls, mlflow_uri: str, tmp_path_factory: pytest.TempPathFactory) -> MlflowClient:
        folder = tmp_path_factory.mktemp("promoted")
        summary = learn(named(folder, mlflow_uri, "promoted", windows=6))
        assert summary.versions == ("1", "2", "3")
        return MlflowClient(mlflow_uri)

    @pytest.fixture
    def models(
        self, client: MlflowClient, capsys: pytest.CaptureFixture[str]
    ) -> Callable[..., tuple[int, str, str]]:
        def run(action: str, *words: str) -> tuple[int, str, str]:
            where = ["--mlflow", str(client.tracking_uri), "--name", "promoted"]
            code = main(["models", action, *where, *words])
            captured = capsys.readouterr()
            return code, captured.out, captured.err

        return run

    def test_promote_and_roll_back_keep_who_when_and_why(
        self, client: MlflowClient, models: Callable[..., tuple[int, str, str]]
    ) -> None:
        assert models("promote", "1", "--why", "first")[0] == 0
        assert models("promote", "3")[0] == 0
        code, out, _ = models("rollback", "--why", "poisoned")
        assert code == 0
        assert "rolled back to 1, before it 3" in out
        assert "poisoned" in out
        assert champion_of(client, "promoted") == "1"
        told = [(move.version, move.previous, move.why) for move in history(client, "promoted")]
        assert told == [("1", "", "first"), ("3", "1", ""), ("1", "3", "poisoned")]
        tags = client.get_model_version("promoted", "1").tags
        assert tags["promoted_because"] == "poisoned"
        assert tags["promoted_by"]
        code, out, err = models("rollback")
        assert code == 1
        assert "expected a champion before this one" in err

    def test_a_move_past_the_shell_is_noted_and_can_be_rolled_back(
        self, client: MlflowClient, models: Callable[..., tuple[int, str, str]]
    ) -> None:
        client.set_registered_model_alias("promoted", "champion", "2")
        noted = note_moves(client, "promoted")
        assert noted is not None
        assert (noted.version, noted.by) == ("2", ELSEWHERE)
        assert note_moves(client, "promoted") is None
        assert "rolled back to" in models("rollback")[1]

    def test_ls_shows_aliases_and_what_the_gate_said(
        self, client: MlflowClient, models: Callable[..., tuple[int, str, str]]
    ) -> None:
        versions = json.loads(models("ls", "--json")[1])
        assert [one["version"] for one in versions] == ["3", "2", "1"]
        assert {one["gate"] for one in versions} == {"passed"}
        assert versions[0]["aliases"] == ["challenger"]
        lines = models("ls")[1]
        assert "no champion to compare with" in lines
        assert "by " in models("ls", "--history")[1]

    def test_a_slip_is_named(self, models: Callable[..., tuple[int, str, str]]) -> None:
        code, _, err = models("promote", "99")
        assert (code, "received '99'" in err) == (1, True)
        code, _, err = models("promote", "challengr")
        assert (code, "expected the number or an alias" in err) == (1, True)

    def test_a_wrong_name_gets_a_near_match(
        self, client: MlflowClient, capsys: pytest.CaptureFixture[str]
    ) -> None:
        uri = str(client.tracking_uri)
        assert main(["models", "ls", "--mlflow", uri, "--name", "promotd"]) == 1
        assert "did you mean 'promoted'?" in capsys.readouterr().err


def test_a_server_that_is_not_there_is_said_in_one_sentence(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["models", "ls", "--mlflow", NOWHERE]) == 1
    err = capsys.readouterr().err
    assert "expected an MLflow server that answers" in err
    assert "Traceback" not in err


def named(folder: Path, uri: str, name: str, windows: int = 2) -> LearnerSettings:
    settings = shop(folder, windows=windows)
    return replace(
        settings,
        mlflow=uri,
        experiment=name,
        registered_model=name,
        champion_s=0.2,
        mlflow_patience_s=120.0,
    )


@pytest.mark.slow
def test_a_running_learner_notices_a_promotion_and_scores_the_champion_in_shadow(
    tmp_path: Path, mlflow_uri: str
) -> None:
    settings = named(tmp_path, mlflow_uri, "noticed")
    client = MlflowClient(mlflow_uri)
    learn(settings)
    client.set_registered_model_alias("noticed", "champion", "1")
    write_window(settings.windows, 2)
    write_window(settings.windows, 3)
    learn(settings)
    entries = [entry for entry, _ in Journal(settings.state / "metrics.jsonl").since(0)]
    shadowed = [e for e in entries if "champion/click/all/gauc_difference" in e.metrics]
    assert [entry.step for entry in shadowed] == [2, 3]
    # Version 1 was registered after the second window, and no window was learned since.
    assert shadowed[0].metrics["champion/click/all/gauc_difference"] == pytest.approx(0, abs=1e-9)
    assert shadowed[1].metrics["champion/click/all/gauc_difference"] != 0
    assert history(client, "noticed")[-1].by == ELSEWHERE
    newest = client.get_model_version("noticed", "2")
    assert "champion 1" in newest.tags["gate_reason"]


@pytest.mark.slow
def test_a_following_learner_changes_its_champion_while_it_runs(
    tmp_path: Path, mlflow_uri: str
) -> None:
    settings = named(tmp_path, mlflow_uri, "followed")
    client = MlflowClient(mlflow_uri)
    learn(settings)
    # Signals are for the main thread only: the daemon without them.
    daemon = Daemon(replace(settings, mode="follow", until_final=True), threading.Event())
    thread = threading.Thread(target=daemon.run)
    thread.start()
    client.set_registered_model_alias("followed", "champion", "1")
    deadline = time.monotonic() + 60
    while daemon.watch.current is None and time.monotonic() < deadline:
        time.sleep(0.1)
    write_window(settings.windows, 2)
    (settings.windows / "_FINAL").touch()
    thread.join(timeout=120)
    assert not thread.is_alive()
    entries = [entry for entry, _ in Journal(settings.state / "metrics.jsonl").since(0)]
    assert any("champion/click/all/auc" in entry.metrics for entry in entries if entry.step == 2)
