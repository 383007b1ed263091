"""A person promotes and rolls back in MLflow's own pages; a learner that runs follows.

The steps build on each other, as a person's do.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient
from playwright.sync_api import Page, expect

from learner.journal import Journal
from learner.promotion import ELSEWHERE, champion_of, history
from learner.settings import LearnerSettings
from tests.learner.runs import learn, shop
from tests.learner.world import write_window

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("browser")]
NAME = "shop-ranking"


@pytest.fixture(scope="module")
def settings(mlflow_uri: str, tmp_path_factory: pytest.TempPathFactory) -> LearnerSettings:
    """A learner that has registered two versions."""
    base = shop(tmp_path_factory.mktemp("ui"), windows=4)
    settings = replace(
        base, mlflow=mlflow_uri, experiment=NAME, registered_model=NAME, mlflow_patience_s=120.0
    )
    assert learn(settings).versions == ("1", "2")
    return settings


@pytest.fixture(scope="module")
def daemon(settings: LearnerSettings) -> Iterator[subprocess.Popen[bytes]]:
    """The learner as a process of its own, following."""
    words = [sys.executable, "-m", "millstream", "train", "--follow", "--model", settings.model]
    words += ["--spec", str(settings.spec), "--windows", str(settings.windows)]
    words += ["--state", str(settings.state), "--mlflow", settings.mlflow]
    words += ["--preset", settings.preset, "--name", NAME, "--register-every", "100"]
    process = subprocess.Popen(words)
    yield process
    process.terminate()
    assert process.wait(timeout=120) == 0


def open_version(page: Page, uri: str, number: int) -> None:
    page.goto("about:blank")
    page.goto(f"{uri}/#/models/{NAME}/versions/{number}")
    expect(page.get_by_role("heading", name=f"Version {number}")).to_be_visible()


def make_champion(page: Page, uri: str, number: int) -> None:
    """What a person does on a version's page."""
    open_version(page, uri, number)
    # The pencil has no text, and a version without aliases has no pencil but a link.
    page.locator("button[data-component-id*='modelversionviewaliaseditor']").first.click()
    box = page.get_by_role("dialog").get_by_role("combobox")
    box.fill("champion")
    box.press("Enter")
    page.get_by_role("button", name="Save aliases").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_text("@ champion").first).to_be_visible()


def waited(ready: Callable[[], bool], patience_s: float) -> float:
    """Seconds until it is so."""
    started = time.monotonic()
    while not ready():
        assert time.monotonic() - started < patience_s
        time.sleep(0.1)
    return time.monotonic() - started


def shadowed(settings: LearnerSettings) -> dict[int, set[str]]:
    """By step, the names of metrics that compare with a champion."""
    entries = [entry for entry, _ in Journal(settings.state / "metrics.jsonl").since(0)]
    return {
        entry.step: {name for name in entry.metrics if name.startswith("champion/")}
        for entry in entries
        if any(name.startswith("champion/") for name in entry.metrics)
    }


def test_a_versions_page_says_where_it_comes_from_and_how_it_did(
    page: Page, settings: LearnerSettings, screenshots: Path
) -> None:
    open_version(page, settings.mlflow, 2)
    version = MlflowClient(settings.mlflow).get_model_version(NAME, "2")
    expect(page.get_by_text("@ challenger").first).to_be_visible()
    expect(page.get_by_text(version.tags["lineage_id"]).first).to_be_visible()
    expect(page.get_by_text("no champion to compare with").first).to_be_visible()
    page.screenshot(path=screenshots / "version.png")


def test_the_run_shows_the_plots(page: Page, settings: LearnerSettings, screenshots: Path) -> None:
    version = MlflowClient(settings.mlflow).get_model_version(NAME, "2")
    experiment = MlflowClient(settings.mlflow).get_run(version.run_id).info.experiment_id
    page.goto(f"{settings.mlflow}/#/experiments/{experiment}/runs/{version.run_id}/artifacts")
    page.get_by_text("gauc.png").first.click()
    expect(page.locator("img[src*='gauc.png'], img[src^='blob:']").first).to_be_visible()
    page.screenshot(path=screenshots / "plots.png")


def test_a_learner_that_runs_notices_a_promotion_within_ten_seconds(
    page: Page,
    settings: LearnerSettings,
    daemon: subprocess.Popen[bytes],
    screenshots: Path,
) -> None:
    client = MlflowClient(settings.mlflow)
    write_window(settings.windows, 4)
    waited(lambda: learned(settings) == 5, 120)
    make_champion(page, settings.mlflow, 1)
    page.screenshot(path=screenshots / "promoted.png")
    assert champion_of(client, NAME) == "1"
    assert waited(lambda: bool(history(client, NAME)), 60) < 10
    assert history(client, NAME)[-1].by == ELSEWHERE
    waited(lambda: daemon.poll() is not None or fetched(settings), 60)
    write_window(settings.windows, 5)
    waited(lambda: learned(settings) == 6, 120)
    assert list(shadowed(settings)) == [5]


def test_rolling_back_in_the_ui_works_too(
    page: Page, settings: LearnerSettings, daemon: subprocess.Popen[bytes]
) -> None:
    client = MlflowClient(settings.mlflow)
    make_champion(page, settings.mlflow, 2)
    waited(lambda: history(client, NAME)[-1].version == "2", 60)
    make_champion(page, settings.mlflow, 1)
    assert waited(lambda: history(client, NAME)[-1].version == "1", 60) < 10
    assert [move.version for move in history(client, NAME)] == ["1", "2", "1"]


def learned(settings: LearnerSettings) -> int:
    """Windows that were learned."""
    entries = Journal(settings.state / "metrics.jsonl").since(0)
    return sum("train/loss" in entry.metrics for entry, _ in entries)


def fetched(settings: LearnerSettings) -> bool:
    """Whether the learner has said whom it scores in shadow."""
    file = settings.state / "champion.json"
    return file.exists() and '"1"' in file.read_text()
