"""What goes wrong around a pipeline on Kafka: kills, brokers that go, partitions that come."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from kafka import KafkaProducer

from infra.kafka import Broker
from pipelines.drivers.direct import run
from schemas.spec import Spec, parse
from schemas.windows import WindowStore
from tests.kafka_server import broker_in
from tests.kafka_topics import add_partitions, send
from tests.pipeline.kafka_world import (
    as_json,
    in_time_order,
    kafka_settings,
    letters_in,
    mixed,
    prepared,
    publish,
)
from tests.pipeline.small_world import SPEC_TOML, Events, small_world
from tests.pipeline.test_direct_driver import built, digests
from tests.pipeline.test_follow import PATIENCE_S, halves, wait_for_windows
from tests.soak import share_of

ROOT = Path(__file__).parents[2]
IDLE_S = 10
"""Longer than a test takes to publish, so that no partition falls idle too soon."""


def spec_in(folder: Path, prefix: str, idle: str = f"{IDLE_S}s") -> Spec:
    """The small world's spec with topics of its own, in a file."""
    text = SPEC_TOML.replace('slack = "2s"', f'slack = "2s"\nidle = "{idle}"')
    for stream in ("exposure", "click", "buy", "refund", "item"):
        text = text.replace(
            f"\n{stream} = {{ kind", f'\n{stream} = {{ topic = "{prefix}.{stream}", kind'
        )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "spec.toml").write_text(text)
    return parse(text)


def command(broker: Broker, *words: str) -> list[str]:
    """The pipeline as a user runs it, in a folder that holds the spec."""
    source = ["--source", f"kafka://{broker.address}", "--shards", "3"]
    paths = ["--windows", "windows", "--state", "state"]
    start = [sys.executable, "-m", "millstream", "pipeline", "--spec", "spec.toml"]
    return [*start, *source, *paths, *words]


def publish_to(broker: Broker, spec: Spec, events: Events, partitions: list[int]) -> None:
    """Deal events out to these partitions of their topics."""
    with KafkaProducer(bootstrap_servers=broker.address) as producer:
        for stream, rows in in_time_order(events).items():
            for at, partition in enumerate(partitions):
                for value in as_json(spec, stream, rows[at :: len(partitions)]):
                    producer.send(spec.streams[stream].topic, value, partition=partition)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_broker_that_dies_and_partitions_that_come_change_no_byte(tmp_path: Path) -> None:
    events = small_world(31, requests=200)
    early, late = halves(events, 60_000)
    folder = tmp_path / "followed"
    spec = spec_in(folder, "faults")
    reference = built(tmp_path / "files", events, spec=spec)
    with broker_in(tmp_path / "broker") as broker:
        prepared(broker, spec)
        publish_to(broker, spec, early, [0, 1, 2])
        log = (folder / "log").open("w")
        process = subprocess.Popen(command(broker, "--follow"), cwd=folder, stderr=log)
        try:
            first = wait_for_windows(folder / "windows", 3)
            broker.kill()
            time.sleep(3)
            assert process.poll() is None
            broker.start()
            for stream in spec.streams.values():
                add_partitions(broker, stream.topic, 5)
            publish_to(broker, spec, late, [0, 1, 2, 3, 4])
            wait_for_windows(folder / "windows", first + 3)
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE_S) == 0
        finally:
            process.kill()
            log.close()
        summary = run(kafka_settings(broker, spec, folder))
    assert digests(WindowStore(folder / "windows")) == digests(reference)
    assert not [name for name in summary.totals if name.startswith("late/")]
    told = (folder / "log").read_text()
    assert 1 <= told.count("does not answer") <= 3
    assert told.count("answers again") >= 1
    assert "Traceback" not in told


AWAY = "does not answer while"


def asked_to_leave(process: subprocess.Popen[bytes], once: Callable[[], bool]) -> int:
    """The exit code of a process that gets SIGTERM once something holds."""
    deadline_s = time.monotonic() + PATIENCE_S
    try:
        while not once():
            assert process.poll() is None
            assert time.monotonic() < deadline_s
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        return process.wait(PATIENCE_S)
    finally:
        process.kill()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_pipeline_whose_broker_is_away_leaves_when_asked(tmp_path: Path) -> None:
    """While it plans an epoch, and while it reads one again that was planned before."""
    spec = spec_in(tmp_path, "away")
    with broker_in(tmp_path / "broker") as broker:
        prepared(broker, spec)
        publish(broker, spec, small_world(32, requests=100))
        logs = [tmp_path / "planning.log", tmp_path / "reading.log"]
        with logs[0].open("w") as file:
            process = subprocess.Popen(command(broker, "--follow"), cwd=tmp_path, stderr=file)
        wait_for_windows(tmp_path / "windows", 3)
        broker.kill()
        assert asked_to_leave(process, lambda: AWAY in logs[0].read_text()) == 0
        journal = tmp_path / "state" / "journal"
        for commit in journal.glob("*.commit.json"):
            commit.unlink()  # as if it had died in its first epoch
        with logs[1].open("w") as file:
            again = subprocess.Popen(command(broker, "--follow"), cwd=tmp_path, stderr=file)
        assert asked_to_leave(again, lambda: f"{AWAY} reading" in logs[1].read_text()) == 0
    assert not list(journal.glob("*.commit.json"))
    assert not any("Traceback" in log.read_text() for log in logs)


BAD = (b"{nonsense", b'{"event_id": "x"}', b"\xc3\x01 no datum", b"")
"""Messages that cannot be used; each is to be counted once however often it is read."""


def killed_runs_equal_the_files(broker: Broker, folder: Path, kills: int, seed: int) -> None:
    """Kill runs at random moments of their work until there were so many kills."""
    spec = spec_in(folder / "spec", f"kills{seed}", idle="500ms")
    events = small_world(seed, requests=120)
    reference = built(folder / "files", events, spec=spec)
    prepared(broker, spec)
    publish(broker, spec, events, mixed)
    send(broker, {stream.topic: BAD for stream in spec.streams.values()}, partition=2)
    undisturbed = run(kafka_settings(broker, spec, folder / "whole"))
    worlds = [folder / f"killed{number}" for number in range(kills)]
    for world in worlds:
        world.mkdir()
        (world / "spec.toml").write_text((folder / "spec" / "spec.toml").read_text())
    words = command(broker, "--epoch-rows", "120", "--final")[3:]
    start = [sys.executable, "-m", "tests.pipeline.kills", str(seed), str(kills)]
    done = subprocess.run(
        [*start, *map(str, worlds), "--", *words], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == kills
    for world in worlds:
        if not (world / "windows" / "_FINAL").exists():
            continue
        assert digests(WindowStore(world / "windows")) == digests(reference)
        again = run(kafka_settings(broker, spec, world))
        assert (again.epochs, again.totals) == (0, undisturbed.totals)
        assert (
            letters_in(world).total() == 5 * len(BAD) + undisturbed.totals["dead/refund/unmatched"]
        )
    assert (worlds[0] / "windows" / "_FINAL").exists() and len(digests(reference)) >= 12


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_kills_at_random_moments_change_nothing(kafka: Broker, tmp_path: Path) -> None:
    killed_runs_equal_the_files(kafka, tmp_path, kills=30, seed=41)


@pytest.mark.soak
def test_three_hundred_kills_change_nothing(kafka: Broker, tmp_path: Path) -> None:
    killed_runs_equal_the_files(kafka, tmp_path, kills=share_of(300, least=5), seed=42)
