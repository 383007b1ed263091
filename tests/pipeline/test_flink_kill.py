"""`kill -9` of every part of a Flink cluster: the windows are those of an undisturbed run."""

import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from infra.flink import Cluster
from infra.kafka import Broker
from pipelines.drivers.flink.run import newest_checkpoint
from schemas.durable import read_json
from schemas.spec import Spec
from tests.kafka_topics import send
from tests.pipeline.flink_world import SHARDS, digests, direct
from tests.pipeline.kafka_world import kafka_spec, prepared, publish
from tests.pipeline.small_world import SPEC_TOML, Events, small_world, write_json_lines

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1_200)]

ROOT = Path(__file__).resolve().parents[2]
LAST_MS = 160_000
"""No event of the small world is later."""

PATIENCE_S = 300


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

    def ended(self) -> tuple[int, str]:
        """Exit code and what it said, when it ends."""
        assert self.process is not None
        _, said = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, said

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait, while the run goes on."""
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline
            assert self.process is not None
            if self.process.poll() is not None:
                raise AssertionError(self.ended())
            time.sleep(0.1)

    def sealed(self) -> int:
        return len(digests(self.folder))

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


def part_of(events: Events, number: int, parts: int) -> Events:
    """The events of one of equal stretches of time."""
    first_ms, stop_ms = number * LAST_MS // parts, (number + 1) * LAST_MS // parts
    return {
        s: [e for e in rows if first_ms <= e["time_ms"] < stop_ms] for s, rows in events.items()
    }


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
    try:
        for number, kill in enumerate([*kills, None]):
            publish(broker, spec, part_of(events, number, parts))
            send(broker, {spec.streams["click"].topic: BAD})
            if kill is None:
                break
            if pipeline.process is None or pipeline.process.poll() is not None:
                pipeline.start("--follow")
            before = pipeline.sealed()
            pipeline.until(lambda: pipeline.sealed() > before and pipeline.checkpoint() is not None)
            kill(pipeline)
        pipeline.until(lambda: pipeline.sealed() >= parts) if pipeline.process.poll() is None else 0
        pipeline.process.terminate()
        pipeline.ended()
        pipeline.start("--final")
        assert pipeline.ended() == (0, "")
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


def of_job_manager(cluster: Cluster) -> Callable[[Pipeline], None]:
    def kill(pipeline: Pipeline) -> None:
        cluster.job_manager.kill()
        cluster.start_job_manager()
        code, said = pipeline.ended()
        assert code == 1
        assert "the same command goes on from there" in said and "Traceback" not in said

    return kill


def test_a_killed_task_manager_worker_pool_and_job_manager_change_nothing(
    flink: Cluster, kafka: Broker, tmp_path: Path
) -> None:
    kills = [of_task_manager(flink, 0), of_workers(flink), of_job_manager(flink)]
    disturbed_run_equals_undisturbed(flink, kafka, tmp_path, kills, seed=21)


@pytest.mark.soak
def test_twelve_kills_in_any_order_change_nothing(
    flink: Cluster, kafka: Broker, tmp_path: Path
) -> None:
    rng = random.Random(5)
    any_part = [
        of_task_manager(flink, 0), of_task_manager(flink, 1), of_workers(flink),
        of_job_manager(flink),
    ]  # fmt: skip
    kills = [kill for _ in range(3) for kill in rng.sample(any_part, len(any_part))]
    disturbed_run_equals_undisturbed(flink, kafka, tmp_path, kills, seed=22)
