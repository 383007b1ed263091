"""A pipeline that follows for long: its memory and its state stay as large as they were."""

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from kafka import KafkaProducer

from infra.kafka import Broker
from pipelines.drivers.direct.readings import READINGS
from schemas.spec import Spec
from tests.pipeline.kafka_world import PARTITIONS, prepared
from tests.pipeline.small_world import small_world
from tests.pipeline.test_kafka_faults import command, spec_in
from tests.soak import share_of

HALF_AN_HOUR_S, PATIENCE_S = 1_800, 600.0

ROUND_MS, ROUND_S, WINDOW_MS = 120_000, 2.0, 10_000
"""So much event time is published at once, at most so often."""

MOST_GROWTH = 1.1
"""Of the last third against the one before: medians."""

Sent = tuple[str, dict[str, Any]]


@dataclass(frozen=True)
class Size:
    """What a run takes; its state without the history that is kept, a line a partition and cut."""

    resident_mb: float
    state_mb: float


def rounds() -> Iterator[list[Sent]]:
    """Small worlds one after the other without end, each event when it happened."""
    waiting: list[Sent] = []
    for number in range(1 << 30):
        waiting += moved(number)
        until_ms = (number + 1) * ROUND_MS
        due = [one for one in waiting if one[1]["time_ms"] < until_ms]
        waiting = [one for one in waiting if one[1]["time_ms"] >= until_ms]
        yield sorted(due, key=lambda one: one[1]["time_ms"])


def moved(number: int) -> Iterator[Sent]:
    """A world of its own ids and time; users, items and queries are always the same."""
    for stream, rows in small_world(number, requests=200).items():
        for row in rows:
            own = {k: f"{number}.{row[k]}" for k in ("request_id", "event_id") if row.get(k)}
            yield stream, {**row, **own, "time_ms": row["time_ms"] + number * ROUND_MS}


def publish(producer: KafkaProducer, spec: Spec, events: list[Sent]) -> None:
    """Send them in order of time; a partition holds every third."""
    for at, (stream, row) in enumerate(events):
        value = json.dumps(row, ensure_ascii=False).encode()
        producer.send(spec.streams[stream].topic, value, partition=at % PARTITIONS)
    producer.flush()


def size_of(process: subprocess.Popen[bytes], folder: Path) -> Size:
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    resident_kb = next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
    files = (path for path in (folder / "state").rglob("*") if path.name != READINGS)
    state = sum(_bytes(path) for path in files)
    return Size(resident_kb / 1_024, state / (1 << 20))


def _bytes(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except FileNotFoundError:
        return 0  # an epoch older than those that are kept


def sealed_until(folder: Path, least: int, process: subprocess.Popen[bytes]) -> None:
    """Wait for so many windows, so that a busy machine makes no backlog."""
    deadline = time.monotonic() + PATIENCE_S
    while len(list(folder.glob("windows/*/_MANIFEST.json"))) < least:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)


def followed(broker: Broker, spec: Spec, folder: Path, seconds: float) -> list[Size]:
    """Follow for a while; what the run took after each round."""
    sizes = []
    until_s = time.monotonic() + seconds
    with (
        (folder / "log").open("w") as log,
        KafkaProducer(bootstrap_servers=broker.address, linger_ms=2) as producer,
    ):
        process = subprocess.Popen(command(broker, "--follow"), cwd=folder, stderr=log)
        try:
            for number, events in enumerate(rounds()):
                next_s = time.monotonic() + ROUND_S
                publish(producer, spec, events)
                sealed_until(folder, (number - 1) * ROUND_MS // WINDOW_MS, process)
                sizes.append(size_of(process, folder))
                if time.monotonic() > until_s:
                    break
                time.sleep(max(0.0, next_s - time.monotonic()))
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE_S) == 0
        finally:
            process.kill()
    return sizes


@pytest.mark.soak
def test_memory_and_state_stay_as_large_as_they_were(
    kafka: Broker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = spec_in(tmp_path, "endurance")
    prepared(kafka, spec)
    seconds = share_of(HALF_AN_HOUR_S)
    sizes = followed(kafka, spec, tmp_path, seconds)
    third = len(sizes) // 3
    assert third >= 5, "expected rounds enough to compare"
    middle, last = sizes[third : 2 * third], sizes[-third:]
    grown = {
        name: median(getattr(one, name) for one in last)
        / median(getattr(one, name) for one in middle)
        for name in ("resident_mb", "state_mb")
    }
    with capsys.disabled():
        print(f"\n{len(sizes)} rounds in {seconds:,} s, last {sizes[-1]}")
        for name, ratio in grown.items():
            verdict = "ok" if ratio <= MOST_GROWTH else "short"
            print(f"FIGURE pipeline_endurance_{name} {ratio:.3f} <={MOST_GROWTH} {verdict}")
    assert max(grown.values()) <= MOST_GROWTH
