"""`millstream models explain`: from event offsets to weights, on a real server."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from learner.ancestry import ancestry_of
from millstream.cli import main
from pipelines.drivers.direct.journal import Plan
from pipelines.drivers.direct.readings import ReadingLog
from pipelines.offsets import read_before
from pipelines.sources.raw import Range
from pipelines.steps.step import NO_CUT
from schemas.windows import WindowStore
from tests.learner.runs import learn, shop
from tests.learner.world import HOUR_MS, START_MS


def test_a_window_knew_what_was_read_before_its_cut_was_evaluated(tmp_path: Path) -> None:
    log = ReadingLog(tmp_path / "journal")
    readings = [("a", 0, NO_CUT), ("b", 0, NO_CUT), ("a", 70, 1000), ("a", 90, 2000)]
    for epoch, (name, first, cut) in enumerate(readings):
        log.note(Plan(epoch, (_range(name, first),), cut, 0, None))
    assert read_before(tmp_path, 1000) == {"a": 70, "b": None}
    assert read_before(tmp_path, 2000) == {"a": 90, "b": None}
    assert read_before(tmp_path, 3000) == {"a": None, "b": None}


def _range(name: str, first: int) -> Range:
    return Range("click", name, first, first + 10, 10, first)


@pytest.mark.slow
def test_explain_prints_the_chain_and_finds_a_window_that_was_changed(
    tmp_path: Path, mlflow_uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = replace(
        shop(tmp_path, windows=3),
        mlflow=mlflow_uri,
        experiment="chain",
        registered_model="chain",
        mlflow_patience_s=120.0,
    )
    learn(settings)
    log = ReadingLog(tmp_path / "pipeline" / "journal")
    log.note(Plan(1, (_range("click/0", 0),), NO_CUT, 0, None))
    log.note(Plan(2, (_range("click/0", 70),), START_MS + HOUR_MS, 0, None))
    words = ["--mlflow", mlflow_uri, "--name", "chain", "--windows", str(settings.windows)]
    words += ["--pipeline", str(tmp_path / "pipeline")]
    assert main(["models", "explain", "challenger", *words]) == 0
    told = capsys.readouterr().out
    for manifest in WindowStore(settings.windows).windows():
        assert f"{manifest.digest}  sealed" in told
    assert "learned 3 windows; their digests, hashed again, give this lineage" in told
    assert "click/0 up to position 70" in told
    assert "click/0 up to its end" in told
    assert main(["models", "explain", "1", *words, "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["proven"] is True
    assert [one["read_before"] for one in values["windows"]] == [{"click/0": 70}, {"click/0": None}]

    client = MlflowClient(mlflow_uri)
    versions = sorted(client.search_model_versions("name='chain'"), key=lambda one: one.version)
    assert versions[1].tags["parent_lineage_id"] == versions[0].tags["lineage_id"]
    store = WindowStore(settings.windows).windows()
    changed = [replace(store[0], cut_ms=0), *store[1:2]]
    found = ancestry_of(client, "chain", "2", changed)
    assert [one.standing for one in found.windows] == ["another digest", "sealed", "missing"]
