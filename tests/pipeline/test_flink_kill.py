"""`kill -9` of every part of a Flink cluster: the windows are those of an undisturbed run."""

import fcntl
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from kafka import KafkaProducer

from infra.flink import Cluster
from infra.kafka import Broker
from pipelines.drivers.flink.run import newest_checkpoint
from schemas.durable import read_json
from schemas.spec import Spec
from tests.kafka_topics import send
from tests.pipeline.flink_world import SHARDS, digests, direct
from tests.pipeline.kafka_world import PARTITIONS, kafka_spec, prepared
from tests.pipeline.small_world import SPEC_TOML, Events, small_world, write_json_lines
from tests.soak import share_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1_200)]

ROOT = Path(__file__).resolve().parents[2]
LAST_MS = 160_000
"""No event of the small world is later."""

PATIENCE_S = 600


class Pipeline:
    """`millstream pipeline --runner flink` in a process of its own, over the spec's topics."""

    def __init__(self, cluster: Cluster, broker: Broker, spec: Spec, folder: Path) -> None:
        self.folder, self.spec = folder, spec
        folder.mkdir()
        (folder / "spec.toml").write_text(_with_topics(spec))
        self.command = [
            sys.executable, "-m", "millstream", "pipeline", "--runner", "flink",
            "--spec", "spec.toml", "--source", f"kafka://{broker.address}",
            "--windows", "windows", "--state", "state", "--shards", str(SHARDS),
            "--flink-job-server", cluster.endpoint, "--flink-rest", cluster.dashboard,
            "--flink-workers", cluster.pool, "--checkpoint-s", "1",
        ]  # fmt: skip
        self.process: subprocess.Popen[str] | None = None

    def start(self, *mode: str) -> None:
        self.process = subprocess.Popen(
            [*self.command, *mode],
            cwd=self.folder,
            env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        while self.runs() and not self._has_the_state():
            time.sleep(0.1)

    def _has_the_state(self) -> bool:
        """Whether it has come so far that signals end it in order."""
        lock = self.folder / "state" / "lock"
        if not lock.exists():
            return False
        with lock.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def ended(self) -> tuple[int, str]:
        """Exit code and what it said, when it ends."""
        assert self.process is not None
        _, said = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, said

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def stop(self) -> None:
        """As an operator does: SIGTERM, and it ends in order."""
        assert self.process is not None
        self.process.terminate()
        assert self.ended()[0] == 0

    def until_sealed(self, after_ms: int) -> None:
        """Wait until a window of this time or later is sealed, if any, and a checkpoint exists."""
        deadline = time.monotonic() + PATIENCE_S
        while max(self.sealed(), default=-1) < after_ms or self.checkpoint() is None:
            assert time.monotonic() < deadline, self.sealed()
            if not self.runs():
                raise AssertionError(self.ended())
            time.sleep(0.1)

    def sealed(self) -> dict[int, str]:
        return digests(self.folder) if (self.folder / "windows").exists() else {}

    def checkpoint(self) -> Path | None:
        return newest_checkpoint(self.folder / "state" / "checkpoints")

    def totals(self) -> dict[str, int]:
        return dict(read_json(self.folder / "state" / "totals.json")["counts"])


def _with_topics(spec: Spec) -> str:
    """The small world's spec with the topics that a test has made, and partitions soon idle."""
    text = SPEC_TOML.replace('slack = "2s"', 'slack = "2s"\nidle = "500ms"')
    for stream in spec.streams.values():
        text = text.replace(
            f'{stream.name} = {{ kind = "{stream.kind}"',
            f'{stream.name} = {{ topic = "{stream.topic}", kind = "{stream.kind}"',
        )
    return text


def publish_part(
    broker: Broker,
    spec: Spec,
    events: Events,
    number: int,
    parts: int,
    partitions: int = PARTITIONS,
) -> None:
    """One of equal stretches of time, second by second, so that nothing comes later than slack.

    A broker tells the ends of partitions one after the other: at full speed seconds would pass
    in between, so this goes a hundred times as fast as the clock.
    """
    first_ms, stop_ms = number * LAST_MS // parts, (number + 1) * LAST_MS // parts
    ordered = sorted(
        ((event["time_ms"], stream, event) for stream, rows in events.items() for event in rows),
        key=lambda one: one[:2],
    )
    with KafkaProducer(bootstrap_servers=broker.address, linger_ms=2) as producer:
        second = 0
        for at, (time_ms, stream, event) in enumerate(ordered):
            if not first_ms <= time_ms < stop_ms:
                continue
            if time_ms // 1_000 != second:
                second = time_ms // 1_000
                producer.flush()
                time.sleep(0.01)
            value = json.dumps(event, ensure_ascii=False).encode()
            producer.send(spec.streams[stream].topic, value, partition=at % partitions)
        producer.flush()


BAD = [b"{", b'{"event_id": "x"}', b"[1]", b"\xff"]


def disturbed_run_equals_undisturbed(
    cluster: Cluster,
    broker: Broker,
    folder: Path,
    kills: list[Callable[[Pipeline], None]],
    seed: int,
) -> None:
    """Publish in parts; before each but the first something is killed while the job works."""
    events = small_world(seed, requests=300)
    spec = kafka_spec()
    prepared(broker, spec)
    write_json_lines(events, folder / "events")
    undisturbed = direct(kafka_spec(), folder / "events", folder / "whole")
    pipeline = Pipeline(cluster, broker, spec, folder / "disturbed")
    parts = len(kills) + 1
    clicks = spec.streams["click"].topic
    try:
        for number, kill in enumerate(kills):
            publish_part(broker, spec, events, number, parts)
            send(broker, {clicks: BAD})
            if not pipeline.runs():
                pipeline.start("--follow")
            pipeline.until_sealed(after_ms=_sealed_by((number + 1) * LAST_MS // parts))
            kill(pipeline)
        publish_part(broker, spec, events, len(kills), parts)
        send(broker, {clicks: BAD})
        if pipeline.runs():
            pipeline.stop()
        pipeline.start("--final")
        assert pipeline.ended()[0] == 0
    finally:
        pipeline.kill()
    assert digests(pipeline.folder) == digests(folder / "whole")
    assert len(digests(pipeline.folder)) >= 12
    dead = {name: n for name, n in pipeline.totals().items() if name.startswith("dead/click/")}
    letters = pq.read_table(pipeline.folder / "windows" / "dead_letters").to_pylist()
    places = [(one["source"], one["position"]) for one in letters if one["stream"] == "click"]
    assert len(places) == len(set(places)) == sum(dead.values()) == parts * len(BAD)
    accepted = {n: c for n, c in pipeline.totals().items() if n.startswith(("accepted/", "label/"))}
    assert accepted == {n: c for n, c in undisturbed.items() if n in accepted}


def _sealed_by(time_ms: int) -> int:
    """A window that events until then allow to be sealed, and that soon will be; -1 if none is."""
    return max(0, time_ms - 40_000) if time_ms > 30_000 else -1


def of_task_manager(cluster: Cluster, number: int) -> Callable[[Pipeline], None]:
    def kill(pipeline: Pipeline) -> None:
        cluster.task_managers[number].kill()
        cluster.start_task_manager(number)

    return kill


def of_workers(cluster: Cluster) -> Callable[[Pipeline], None]:
    def kill(pipeline: Pipeline) -> None:
        cluster.workers.kill()
        cluster.start_workers()

    return kill


def of_command(pipeline: Pipeline) -> None:
    """The job goes on, and the same command finds it."""
    pipeline.kill()


def of_job_manager(cluster: Cluster) -> Callable[[Pipeline], None]:
    def kill(pipeline: Pipeline) -> None:
        cluster.job_manager.kill()
        cluster.start_job_manager()
        code, said = pipeline.ended()
        assert code == 1
        assert "Traceback" not in said
        assert "the same command goes on" in said or "expected Flink's job manager to" in said

    return kill


def test_a_killed_task_manager_job_manager_command_and_worker_pool_change_nothing(
    flink: Cluster, kafka: Broker, tmp_path: Path
) -> None:
    kills = [of_task_manager(flink, 0), of_job_manager(flink), of_command, of_workers(flink)]
    disturbed_run_equals_undisturbed(flink, kafka, tmp_path, kills, seed=21)


@pytest.mark.soak
def test_fifteen_kills_in_any_order_change_nothing(
    flink: Cluster, kafka: Broker, tmp_path: Path
) -> None:
    rng = random.Random(5)
    any_part = [
        of_task_manager(flink, 0), of_task_manager(flink, 1), of_workers(flink),
        of_job_manager(flink), of_command,
    ]  # fmt: skip
    kills = [kill for _ in range(3) for kill in rng.sample(any_part, len(any_part))]
    kills = kills[: share_of(len(kills))]
    disturbed_run_equals_undisturbed(flink, kafka, tmp_path, kills, seed=22)
