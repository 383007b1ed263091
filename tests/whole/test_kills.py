"""The whole product, each part killed again and again: the end is that of who never was.

Events go from a simulated world through a real broker and the pipeline into windows, which a
learner that reports to a real MLflow server follows. Every part is a process of its own, as a
user would run it, is ended by `kill -9` at random moments and started again.
"""

import random
import time
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import polars as pl
import pytest
import torch
from mlflow.tracking import MlflowClient

from learner.daemon import run
from learner.freshness import FRESHNESS, SINCE_END
from learner.journal import Journal
from learner.settings import LearnerSettings
from millstream.cli import main
from schemas.spec import load
from schemas.windows import WindowStore
from tests.kafka_server import skipped_without_kafka
from tests.learner.runs import NOWHERE, assert_same_state
from tests.learner.told import lineages_of, to_be_told, told_database
from tests.pipeline.test_direct_driver import digests
from tests.whole.part import Part, heirs_of
from tests.whole.product import NAME, SIZE, Product, started
from tests.whole.world import World

MARK = "MILLSTREAM_TESTED_WHOLE"


@pytest.fixture
def mark(monkeypatch: pytest.MonkeyPatch) -> str:
    """In the environment of all processes that a test starts, and of theirs."""
    value = uuid4().hex
    monkeypatch.setenv(MARK, value)
    return value


Calm = tuple[float, float]
"""From when all parts were at work, and events came, to the next kill, by the clock of the day."""

BRIEFLY = ("broker", "mlflow", "pipeline", "learner", "pipeline", "learner")
"""Who is killed in every run of the tests; the two that keep state of ours once more."""


CALM_S = 45.0
"""So long nobody is killed after each round of the long form."""

FRESH_WITHIN_S = 30.0
"""Beyond a window's length and maturity, wherever nothing recovers from a kill."""


def kill_by_turns(product: Product, rng: random.Random) -> None:
    """Kill some parts in any order, the two that keep state of ours twice."""
    for name in rng.sample(BRIEFLY, len(BRIEFLY)):
        kill_at_work(product, product.part(name), rng)


def kill_by_rounds(product: Product, rng: random.Random) -> list[Calm]:
    """Kill all parts, in any order, again and again until no event comes; the calm in between."""
    calms = []
    while product.simulating:
        for part in rng.sample(product.parts, len(product.parts)):
            kill_at_work(product, part, rng)
        for part in product.parts:
            product.wait_for_work_of(part)
        product.wait_for_events()
        begun_s = time.time()
        time.sleep(CALM_S)
        if product.simulating:
            calms.append((begun_s, time.time()))
    return calms


def kill_at_work(product: Product, part: Part, rng: random.Random) -> None:
    """Kill what is at work, at any moment of it, and start it again before long.

    The others go on; what was killed before may still be about to start.
    """
    product.wait_for_work_of(part)
    time.sleep(rng.uniform(0.0, 1.5))
    part.kill()
    time.sleep(rng.uniform(0.0, 1.0))
    part.launch()


def first_event_ms(events: Path) -> int:
    """When the world's first event happens; the simulator publishes it at once."""
    scanned = pl.concat(
        [pl.scan_parquet(folder / "*.parquet").select("time_ms") for folder in events.iterdir()]
    )
    return int(scanned.min().collect().item())


def delays_in(calms: list[Calm], product: Product, first_ms: int) -> list[float]:
    """How long after it could be cut each window was learned that could be cut in calm weather.

    Windows that calm weather did not last long enough to tell about are left out.
    """
    window, delays_s = load(product.world.spec).window, []
    learned_s: dict[int, float] = {}
    for entry, _ in Journal(product.settings.state / FRESHNESS).since(0):
        at_s = entry.time_ms / 1_000 + entry.metrics[SINCE_END]
        learned_s.setdefault(entry.window_start_ms, at_s)
    for start_ms, at_s in learned_s.items():
        cut_s = product.moment_s(window.cut(start_ms), first_ms)
        for begun_s, ended_s in calms:
            told = min(at_s, cut_s + FRESH_WITHIN_S) <= ended_s
            if begun_s <= cut_s <= ended_s and told:
                delays_s.append(round(at_s - cut_s, 1))
    return delays_s


def files_run(world: World, folder: Path) -> WindowStore:
    """The windows of the same events, simulated again, of one run over files."""
    assert main(["simulate", "--world", str(world.file), "--out", str(folder)]) == 0
    paths = ["--source", str(folder / "events"), "--windows", str(folder / "windows")]
    assert main(["pipeline", "--spec", str(world.spec), *paths, *SIZE, "--final"]) == 0
    return WindowStore(folder / "windows")


def calm_learner(settings: LearnerSettings, windows: Path, state: Path) -> LearnerSettings:
    """One that nobody disturbed, and that has told nobody."""
    calm = replace(settings, windows=windows, state=state, mlflow=NOWHERE, mlflow_patience_s=0.0)
    torch.set_num_threads(1)
    run(calm)
    return calm


def versions_in(folder: Path) -> dict[str, bytes]:
    """The weights of all versions below a folder, by step and lineage."""
    found = folder.glob("**/versions/*/**/model/weights.safetensors")
    return {
        path.relative_to(folder).as_posix().split("versions/")[1].split("/")[0]: path.read_bytes()
        for path in found
    }


def killed_product_equals_undisturbed(
    folder: Path, mark: str, days: int, seconds: float, briefly: bool, seed: int
) -> None:
    """Kill, let all end, and compare; in the long form windows between the kills are fresh too."""
    world = World(folder, days)
    world.write()
    with skipped_without_kafka(), started(folder / "killed", world, seconds) as product:
        rng = random.Random(seed)
        calms: list[Calm] = []
        if briefly:
            kill_by_turns(product, rng)
        else:
            calms = kill_by_rounds(product, rng)
        product.finish()
        lineages = lineages_of(MlflowClient(product.mlflow), NAME)
    assert heirs_of(MARK, mark) == []
    kills = {part.name: (part.kills, part.kills_at_work) for part in product.parts}
    print(f"kills of each part, and those at work: {kills}")
    assert all(at_work > 0 for _, at_work in kills.values())

    reference = files_run(world, folder / "files")
    windows = WindowStore(product.settings.windows)
    assert digests(windows) == digests(reference)
    assert len(digests(reference)) >= 8 * days
    assert all(windows.verify(one.window_start_ms) == [] for one in windows.windows())

    delays_s = delays_in(calms, product, first_event_ms(folder / "files" / "events"))
    print(f"windows in calm weather were learned within {sorted(delays_s)} s of their cuts")
    assert len(delays_s) >= len(calms)
    assert all(delay_s <= FRESH_WITHIN_S for delay_s in delays_s)

    calm = calm_learner(product.settings, folder / "files" / "windows", folder / "calm")
    assert_same_state(calm, product.settings)
    assert told_database(product.folder / "mlflow.db") == to_be_told(
        Journal(calm.state / "metrics.jsonl")
    )
    weights = versions_in(calm.state)
    assert len(weights) == len(lineages) == len(set(lineages)) >= len(digests(reference)) // 4
    assert [name.split("-")[1] for name in sorted(weights)] == [one[:16] for one in lineages]
    assert versions_in(folder / "killed" / "artifacts") == weights


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_each_part_killed_at_work_changes_nothing(tmp_path: Path, mark: str) -> None:
    killed_product_equals_undisturbed(tmp_path, mark, days=1, seconds=45, briefly=True, seed=1)


@pytest.mark.soak
def test_parts_killed_for_twenty_minutes_change_nothing(tmp_path: Path, mark: str) -> None:
    killed_product_equals_undisturbed(tmp_path, mark, days=10, seconds=1200, briefly=False, seed=2)
