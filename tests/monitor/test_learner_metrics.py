"""What a learner tells the world: numbers worked out by hand, and the endpoint of a real one."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from learner.daemon import run
from learner.settings import LearnerSettings
from learner.status import Mail, Pulse, Status
from learner.trainer import Trainer
from millstream.monitor import Board, serving
from millstream.monitor.endpoint import as_json
from millstream.monitor.learner_metrics import LearnerCollector, health_of, registry_of
from tests.learner.runs import learn, newest, shop
from tests.learner.world import HOUR_MS, START_MS, write_window
from tests.monitor.test_pipeline_metrics import Samples, get, scraped

NAME = "millstream_learner"


def told(status: Status) -> Samples:
    """Every sample of a status, at 1,000 s of the day's clock and 70 s of the other."""
    board = Board[Status](lambda: 70.0)
    board.put(status)
    registry = CollectorRegistry()
    registry.register(LearnerCollector(board, lambda: 1_000.0, lambda: 70.0))
    families = as_json(registry).values()
    return {
        (one["name"], tuple(one["labels"].items())): one["value"]
        for family in families
        for one in family["samples"]
    }


def test_freshness_is_the_clock_less_the_end_of_the_last_window_learned() -> None:
    samples = told(Status(learned_until_ms=940_000, saved_at_s=58.0))
    assert samples[f"{NAME}_learned_until_timestamp_seconds", ()] == 940.0
    assert samples[f"{NAME}_freshness_seconds", ()] == 60.0
    assert samples[f"{NAME}_checkpoint_age_seconds", ()] == 12.0


def test_shares_are_of_the_time_spent_with_windows() -> None:
    status = Status(loop_seconds=50.0, feed_wait_seconds=2.0, stall_seconds=1.0)
    samples = told(status)
    assert samples[f"{NAME}_feed_wait_share", ()] == 0.04
    assert samples[f"{NAME}_checkpoint_stall_share", ()] == 0.02
    assert samples[f"{NAME}_loop_seconds_total", ()] == 50.0


def test_what_is_not_known_yet_is_not_told() -> None:
    names = {name for name, _ in told(Status())}
    assert not names & {f"{NAME}_{one}" for one in ("loss", "freshness_seconds", "champion")}
    assert told(Status(loss=0.5, champion="7"))[f"{NAME}_champion", (("version", "7"),)] == 1.0


def test_what_mlflow_does_not_have_is_told_with_its_error() -> None:
    board = Board[Status]()
    board.put(Status(mail=lambda: Mail(3, "500 Internal Server Error")))
    assert board.value is not None
    samples = told(board.value)
    assert samples[f"{NAME}_mlflow_up", ()] == 0.0
    assert samples[f"{NAME}_mlflow_unsent", ()] == 3.0
    health = health_of(board)
    assert health.well
    assert health.facts["mlflow_error"] == "500 Internal Server Error"


def test_rates_and_times_follow_from_the_clock() -> None:
    now = 0.0
    seen: list[Status] = []
    pulse = Pulse(seen.append, lambda: now)
    now = 5.0
    pulse.tell(doing="scoring")  # what came before was waiting for windows
    now = 7.0
    pulse.begin_pass()

    def batches() -> Iterator[str]:
        nonlocal now
        for batch in ("a", "b"):
            now += 1.0
            yield batch

    for _ in pulse.fed(batches()):
        now += 3.0
        pulse.trained(20, 0.25, 0)
    last = seen[-1]
    assert (last.batches, last.samples, last.loss) == (2, 40, 0.25)
    assert (last.loop_seconds, last.feed_wait_seconds) == (10.0, 2.0)
    assert (last.batches_per_second, last.samples_per_second) == (2 / 8, 40 / 8)


@contextmanager
def running(settings: LearnerSettings, board: Board[Status]) -> Iterator[None]:
    """With a learner that follows, until the windows are said to be final."""
    failures: list[BaseException] = []

    def work() -> None:
        try:
            learn_with(settings, board.put)
        except BaseException as error:  # noqa: BLE001  it is raised below
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        (settings.windows / "_FINAL").touch()
        thread.join()
        assert not failures


def learn_with(settings: LearnerSettings, put: Callable[[Status], None]) -> None:
    run(replace(settings, mode="follow", until_final=True), put)


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_running_learner_is_seen_to_learn_and_to_stand_still(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = shop(tmp_path, windows=2)
    board, may_train, train = Board[Status](), threading.Event(), Trainer.train

    def held_up(trainer: Trainer, *batch: object) -> float | None:
        may_train.wait()
        return train(trainer, *batch)  # type: ignore[arg-type]

    monkeypatch.setattr(Trainer, "train", held_up)
    with (
        serving(registry_of(board), lambda: health_of(board, 1.0), "127.0.0.1", 0) as address,
        running(settings, board),
    ):
        try:
            eventually(lambda: board.value is not None and board.value.doing == "training")
            eventually(lambda: get(f"{address}/healthz")[0] == 503)
            stuck = json.loads(get(f"{address}/healthz")[1])
            assert (stuck["doing"], stuck["windows_waiting"]) == ("training", 2)
        finally:
            may_train.set()
        eventually(lambda: get(f"{address}/healthz")[0] == 200)
        eventually(lambda: board.value is not None and board.value.doing == "waiting")
        samples = scraped(address)
        assert samples[f"{NAME}_windows_learned", ()] == 2.0
        assert samples[f"{NAME}_windows_waiting", ()] == 0.0
        until_s = (START_MS + 2 * HOUR_MS) / 1_000
        assert samples[f"{NAME}_learned_until_timestamp_seconds", ()] == until_s
        assert samples[f"{NAME}_batches_total", ()] == 8.0  # 30 users in batches of 8, twice
        # Two entries a window, what settled, and a version, which is written beside the loop.
        eventually(lambda: scraped(address)[f"{NAME}_mlflow_unsent", ()] == 6.0)
        assert samples["process_resident_memory_bytes", ()] > 1e8
        rows = {labels: value for (name, labels), value in samples.items() if "table_rows" in name}
        assert len(rows) == 4
        assert all(value > 0 for value in rows.values())
        write_window(settings.windows, 2)
        eventually(lambda: scraped(address)[f"{NAME}_windows_learned", ()] == 3.0)
    assert board.value is not None
    progress = newest(settings).state["progress"]
    assert board.value.windows_learned == len(progress["consumed"]) == 3


def test_a_state_that_is_resumed_is_told_before_a_window_comes(tmp_path: Path) -> None:
    settings = shop(tmp_path, windows=1)
    learn(settings)
    board = Board[Status]()
    run(settings, board.put)
    assert board.value is not None
    assert (board.value.windows_learned, board.value.batches) == (1, 0)
    assert min(table.rows for table in board.value.tables.values()) > 0
