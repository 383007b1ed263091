"""What goes wrong around a pipeline: a disk that is full, a clock that jumps, brokers that go."""

import importlib
import os
import resource
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from infra.kafka import Broker
from pipelines.drivers.direct import run
from pipelines.drivers.direct.journal import Commit, Journal
from pipelines.drivers.direct.kafka_planner import KafkaPlanner
from pipelines.publish.messages import Encoder
from pipelines.publish.pace import Pace
from pipelines.publish.publisher import Publisher
from pipelines.sources.kafka.source import KafkaSource
from schemas.events import arrow_schema
from schemas.spec import Spec
from schemas.windows import WindowStore
from tests.kafka_server import broker_in
from tests.kafka_topics import send
from tests.pipeline.kafka_world import (
    in_time_order,
    kafka_settings,
    kafka_spec,
    letters_in,
    prepared,
)
from tests.pipeline.small_world import small_world, write_json_lines
from tests.pipeline.test_direct_driver import digests, settings
from tests.pipeline.test_kafka_driver import Clock, click, took
from tests.pipeline.test_kill import command, prepare


def limited_to(size_bytes: int) -> Callable[[], None]:
    """Before a program starts: no file of it may grow beyond a size, as on a disk that is full."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, size_bytes))


@pytest.mark.parametrize("size_bytes", [1_000, 8_000, 30_000])
def test_a_full_disk_ends_the_run_and_room_makes_the_same_windows(
    tmp_path: Path, size_bytes: int
) -> None:
    """At first only journal and state are refused, then windows, too."""
    for name in ("full", "roomy"):
        prepare(tmp_path / name)
    ended = subprocess.run(
        command(),
        cwd=tmp_path / "full",
        capture_output=True,
        text=True,
        preexec_fn=limited_to(size_bytes),
        env=without_caches(),
    )
    assert ended.returncode == 1, ended.stderr
    assert "File too large" in ended.stderr and "Traceback" not in ended.stderr
    for name in ("full", "roomy"):
        assert subprocess.run(command(), cwd=tmp_path / name, capture_output=True).returncode == 0
    full, roomy = (WindowStore(tmp_path / name / "windows") for name in ("full", "roomy"))
    assert digests(full) == digests(roomy) and len(digests(full)) >= 12
    for manifest in full.windows():
        assert full.verify(manifest.window_start_ms) == []
    assert letters_in(tmp_path / "full") == letters_in(tmp_path / "roomy")


def without_caches() -> dict[str, str]:
    """The environment, in which nothing that is compiled is written: caches are larger."""
    return {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}


class PowerCut(BaseException):
    """The machine went down."""


def test_a_clock_that_jumps_changes_no_decision_that_was_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planned by a clock that is slow, an epoch is run again by it, whatever the clock says now."""
    loop = importlib.import_module("pipelines.drivers.direct.run")
    events = small_world(95, requests=150)
    write_json_lines(events, tmp_path / "steady" / "events")
    write_json_lines(events, tmp_path / "jumping" / "events")
    # Half of the events lie further ahead of this clock than the spec's hour allows.
    slow_ms = 60_000 - 3_600_000
    monkeypatch.setattr(loop, "_now_ms", lambda: slow_ms)
    steady = run(settings(tmp_path / "steady"))
    assert steady.totals["dead/exposure/future"] > 20
    commit, died = Journal.commit, []

    def dying_commit(journal: Journal, made: Commit) -> None:
        if made.epoch not in died:
            died.append(made.epoch)
            raise PowerCut
        commit(journal, made)

    monkeypatch.setattr(Journal, "commit", dying_commit)
    ended = None
    while ended is None:
        try:
            ended = run(settings(tmp_path / "jumping"))
        except PowerCut:
            jump_ms = [86_400_000, -86_400_000][len(died) % 2]
            monkeypatch.setattr(loop, "_now_ms", lambda jump_ms=jump_ms: slow_ms + jump_ms)
    assert len(died) >= 2
    assert ended.totals == steady.totals
    stores = [WindowStore(tmp_path / name / "windows") for name in ("jumping", "steady")]
    assert digests(stores[0]) == digests(stores[1]) and len(digests(stores[0])) >= 5


@pytest.fixture
def spec(kafka: Broker) -> Spec:
    """A spec whose topics are there and empty."""
    spec = kafka_spec()
    prepared(kafka, spec)
    return spec


def test_a_clock_that_is_put_back_makes_nobody_wait_for_it(kafka: Broker, spec: Spec) -> None:
    """Idle 500 ms: silence then counts from when the clock was seen to be back."""
    topic, clock = spec.streams["click"].topic, Clock()
    source = KafkaSource(kafka.address, spec)
    planner = KafkaPlanner(spec, source, 1_000, once=False, final=False)
    send(kafka, {topic: [click(50_000)]}, partition=0)
    commit = took(Commit(), planner.next(Commit(), clock), {f"{topic}/0": 50_000})
    clock.now_ms -= 3_600_000
    assert planner.next(commit, clock) is None
    assert planner.pause_s(commit, clock) == 0.5
    clock.now_ms += 500
    silent = planner.next(commit, clock)
    assert silent is not None and silent.cut == 45_000
    source.close()


def test_a_clock_that_jumps_ahead_makes_partitions_idle_at_once(kafka: Broker, spec: Spec) -> None:
    topic, clock = spec.streams["click"].topic, Clock()
    source = KafkaSource(kafka.address, spec)
    planner = KafkaPlanner(spec, source, 1_000, once=False, final=False)
    send(kafka, {topic: [click(50_000)]}, partition=0)
    commit = took(Commit(), planner.next(Commit(), clock), {f"{topic}/0": 50_000})
    clock.now_ms += 3_600_000
    ahead = planner.next(commit, clock)
    assert ahead is not None and ahead.cut == 45_000
    clock.now_ms -= 3_600_000
    after = took(commit, ahead, {})
    assert planner.next(after, clock) is None and after.cut == 45_000  # a cut never falls
    source.close()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_of_events_published_while_a_broker_dies_none_is_lost_and_what_came_twice_is_dropped(
    tmp_path: Path,
) -> None:
    """What a broker took and could not confirm in time is sent again."""
    events = {s: rows for s, rows in in_time_order(small_world(96, requests=200)).items() if rows}
    spec = kafka_spec(idle_ms=1_000)
    write_json_lines(events, tmp_path / "files" / "events")
    expected = run(settings(tmp_path / "files", spec=spec)).totals
    tables = {s: pa.Table.from_pylist(rows, arrow_schema(spec, s)) for s, rows in events.items()}
    with broker_in(tmp_path / "broker") as broker:
        # 150 s of events in 25 s of the clock.
        publisher = Publisher(broker.address, Encoder(spec, "json"), Pace(6.0), partitions=3)
        publisher.open()
        sender = threading.Thread(target=publisher.publish, args=(tables,))
        sender.start()
        for _ in range(2):
            time.sleep(3)
            assert sender.is_alive()
            broker.kill()
            time.sleep(1)
            broker.start()
        sender.join(240)
        assert not sender.is_alive()
        publisher.close()
        told = run(kafka_settings(broker, spec, tmp_path / "kafka")).totals
    assert publisher.counts == {stream: len(rows) for stream, rows in events.items()}
    twice = {s: told[f"accepted/{s}"] - len(rows) for s, rows in events.items()}
    assert min(twice.values()) >= 0
    assert sum(twice.values()) == told["duplicate"] - expected["duplicate"]
    both = (WindowStore(tmp_path / way / "windows") for way in ("files", "kafka"))
    assert digests(next(both)) == digests(next(both))
