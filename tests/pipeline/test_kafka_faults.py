"""What goes wrong around a pipeline on Kafka: kills, brokers that go, partitions that come."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from kafka import KafkaProducer

from infra.kafka import Broker
from pipelines.drivers.direct import run
from schemas.spec import Spec, parse
from schemas.windows import WindowStore
from tests.kafka_server import broker_in
from tests.kafka_topics import add_partitions
from tests.pipeline.kafka_world import (
    as_json,
    in_time_order,
    kafka_settings,
    mixed,
    prepared,
    publish,
)
from tests.pipeline.small_world import SPEC_TOML, Events, small_world
from tests.pipeline.test_direct_driver import built, digests
from tests.pipeline.test_follow import PATIENCE_S, halves, wait_for_windows

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


def asked_to_leave(process: subprocess.Popen[bytes], after_s: float) -> int:
    """The exit code of a process that gets SIGTERM after a while."""
    try:
        time.sleep(after_s)
        assert process.poll() is None
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
        process = subprocess.Popen(command(broker, "--follow"), cwd=tmp_path)
        wait_for_windows(tmp_path / "windows", 3)
        broker.kill()
        assert asked_to_leave(process, after_s=2) == 0
        journal = tmp_path / "state" / "journal"
        for commit in journal.glob("*.commit.json"):
            commit.unlink()  # as if it had died in its first epoch
        with (tmp_path / "log").open("w") as log:
            again = subprocess.Popen(command(broker, "--follow"), cwd=tmp_path, stderr=log)
            assert asked_to_leave(again, after_s=45) == 0
    assert not list(journal.glob("*.commit.json"))
    told = (tmp_path / "log").read_text()
    assert "does not answer while reading" in told
    assert "Traceback" not in told


def run_killed(command: list[str], folder: Path, moment_s: float) -> bool:
    """Run and kill after a moment; whether it had ended by then."""
    process = subprocess.Popen(command, cwd=folder, start_new_session=True)
    try:
        return process.wait(moment_s) == 0
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return False


def killed_run_equals_the_files(broker: Broker, folder: Path, kills: int, seed: int) -> None:
    """Kill a run at random moments of its working time, then let it end."""
    spec = spec_in(folder, f"kills{seed}", idle="500ms")
    events = small_world(seed, requests=200)
    reference = built(folder / "files", events, spec=spec)
    prepared(broker, spec)
    publish(broker, spec, events, mixed)
    words = command(broker, "--epoch-rows", "150", "--final")
    started = time.monotonic()
    (folder / "whole").mkdir()
    (folder / "whole" / "spec.toml").write_text((folder / "spec.toml").read_text())
    assert run_killed(words, folder / "whole", 280)
    length_s = time.monotonic() - started
    rng = random.Random(seed)
    for _ in range(kills):
        run_killed(words, folder, length_s * rng.uniform(0.4, 0.95))
    assert run_killed(words, folder, 280)
    assert digests(WindowStore(folder / "windows")) == digests(reference)
    assert len(digests(reference)) >= 12


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_few_kills_change_nothing(kafka: Broker, tmp_path: Path) -> None:
    killed_run_equals_the_files(kafka, tmp_path, kills=3, seed=41)


@pytest.mark.soak
def test_twenty_kills_change_nothing(kafka: Broker, tmp_path: Path) -> None:
    killed_run_equals_the_files(kafka, tmp_path, kills=20, seed=42)
