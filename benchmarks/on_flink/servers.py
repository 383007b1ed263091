"""Real servers on this machine, the speed world's topics on them, and jobs over these."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from benchmarks.speed_world.spec import speed_spec
from infra.flink import Cluster, Missing, local_flink
from infra.kafka import Broker, local_kafka
from pipelines.drivers.flink import FlinkSettings
from schemas.spec import Spec


@dataclass(frozen=True)
class Servers:
    """A broker and a cluster."""

    broker: Broker
    cluster: Cluster

    @property
    def source(self) -> str:
        """What a pipeline reads."""
        return f"kafka://{self.broker.address}"

    def settings(self, spec: Spec, out: Path, **changes: Any) -> FlinkSettings:
        """A job over a spec's topics into `out`."""
        settings = FlinkSettings(
            spec=spec,
            source=self.source,
            windows=out / "windows",
            state=out / "state",
            job_server=self.cluster.endpoint,
            rest=self.cluster.dashboard,
            workers=self.cluster.pool,
        )
        return replace(settings, **changes)

    def running_s(self, name: str) -> float:
        """How long all stages of the last job of this name ran at the same time."""
        ask = self.cluster.ask
        jobs = [job for job in ask("/jobs/overview")["jobs"] if job["name"] == name]
        job = max(jobs, key=lambda one: one["start-time"])["jid"]
        subtasks = [
            subtask
            for vertex in ask(f"/jobs/{job}")["vertices"]
            for subtask in ask(f"/jobs/{job}/vertices/{vertex['id']}")["subtasks"]
        ]
        return min(subtask["status-duration"]["RUNNING"] for subtask in subtasks) / 1_000


@contextmanager
def servers(folder: Path, figure: str) -> Iterator[Servers]:
    """Both, until the benchmark is over; says that its figure is skipped without Java or Maven."""
    try:
        with local_kafka(folder / "kafka") as broker, local_flink(folder / "flink") as cluster:
            yield Servers(broker, cluster)
    except Missing as missing:
        print(f"SKIPPED {figure} {missing}", flush=True)
        raise SystemExit(0) from missing


def own_topics() -> Spec:
    """The speed world's spec with topics that nobody else has."""
    spec, prefix = speed_spec(), uuid4().hex[:8]
    streams = {n: replace(s, topic=f"{prefix}.{n}") for n, s in spec.streams.items()}
    return replace(spec, streams=streams)
