"""A run on Flink: hand the job in, or find it running; watch it; end it when it is asked to."""

import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from pipelines.drivers.direct.guards import locked, stoppable
from pipelines.drivers.direct.identity import kept
from pipelines.drivers.flink.cluster import FlinkCluster
from pipelines.drivers.flink.graph import build
from pipelines.drivers.flink.job_server import JobServer
from pipelines.drivers.flink.read import Limits
from pipelines.drivers.flink.reader import Reading
from pipelines.drivers.flink.settings import FlinkSettings, options_of
from pipelines.drivers.flink.tell import TOTALS
from pipelines.sources.kafka.source import KafkaSource
from schemas.durable import read_json, write_bytes, write_json
from schemas.errors import UserError
from schemas.windows.names import FINAL_MARK

READERS = "readers.json"

POLL_S = 0.5

PATIENCE_S = 60.0
"""A job manager may be away so long."""

SETTLED_S = 300.0
"""A job may take so long to reach the cluster, and to leave it."""

Watch = Callable[[int], None]
"""Hears how many events were read since it last heard."""


@dataclass(frozen=True)
class FlinkSummary:
    """What is true when a run ends."""

    sealed: int
    totals: Counter[str] = field(default_factory=Counter)
    final: bool = False


def run(settings: FlinkSettings, watch: Watch = lambda events: None) -> FlinkSummary:
    """Run the job until the input that is complete was read, or until SIGTERM or SIGINT.

    A job of this state that runs already is watched; else one is handed in, which goes on from
    the newest checkpoint. When the run ends, so does the job, and its last checkpoint stays.
    Raises UserError if the state belongs to another spec or is in use, if no job server or
    cluster answers, or if the job fails.
    """
    with locked(settings.state), stoppable() as stopped:
        kept(settings.state, settings.spec, settings.shards, "flink")
        if not _told(settings).get("complete"):
            _Job(settings, watch, stopped).run()
    told = _told(settings)
    complete = told.get("complete", False)
    if complete:
        write_bytes(settings.windows / FINAL_MARK, b"")
    totals = Counter(told.get("counts", {}))
    return FlinkSummary(totals["windows"], totals, complete)


class _Job:
    """The one job of a state."""

    def __init__(self, settings: FlinkSettings, watch: Watch, stopped: Callable[[], bool]) -> None:
        self.settings, self.watch, self.stopped = settings, watch, stopped
        self.server = JobServer(settings.job_server)
        self.cluster = FlinkCluster(settings.rest)
        self._read = 0
        self._answered_s = time.monotonic()

    def run(self) -> None:
        """Find the job or hand it in; look at it until it is done or somebody asks for the end."""
        self.server.check()
        job = self.cluster.running(self.settings.job_name) or self._submit()
        while not self._is_done() and not self.stopped():
            self._look(job)
            time.sleep(POLL_S)
        self.cluster.cancel(job)
        self._wait(lambda: self.cluster.running(self.settings.job_name) is None)

    def _submit(self) -> str:
        """Hand it in, and wait until the cluster knows it."""
        handed_in = _submit(self.settings, self.server)

        def settled() -> str | None:
            reason = self.server.failed(handed_in)
            if reason is not None:
                raise self._ended(reason)
            return self.cluster.running(self.settings.job_name)

        return str(self._wait(settled))

    def _look(self, job: str) -> None:
        """Raises UserError if the job has ended, or nobody could say so for a while."""
        try:
            running = self.cluster.running(self.settings.job_name)
        except UserError:
            if time.monotonic() - self._answered_s > PATIENCE_S:
                raise
            return
        self._answered_s = time.monotonic()
        if running != job and not self._is_done():
            raise self._ended(self.cluster.why_ended(job))

    def _is_done(self) -> bool:
        told = _told(self.settings)
        events = _events(told)
        self.watch(events - self._read)
        self._read = events
        return bool(told.get("complete", False))

    def _wait(self, condition: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + SETTLED_S
        while not (met := condition()) and time.monotonic() < deadline:
            time.sleep(POLL_S)
        if not met:
            raise self._ended(f"no answer to that within {SETTLED_S:.0f} s")
        return met

    def _ended(self, reason: str) -> UserError:
        return UserError(
            f"{self.settings.rest}: expected job {self.settings.job_name!r} to run, received: "
            f"{reason}. What was read up to its last checkpoint is not lost: the same command "
            "goes on from there."
        )


def _submit(settings: FlinkSettings, server: JobServer) -> str:
    checkpoint = newest_checkpoint(settings.checkpoints)
    reading = Reading(
        spec=settings.spec,
        address=settings.source,
        shards=settings.shards,
        readers=_readers(settings),
        rows=settings.epoch_rows,
    )
    limits = _limits(reading, complete=settings.final)
    options = PipelineOptions(options_of(settings, checkpoint))
    pipeline = beam.Pipeline(options=options)
    build(pipeline, settings, reading, limits)
    return server.submit(pipeline, options)


def _readers(settings: FlinkSettings) -> int:
    """How many share the partitions: as many as when the state began, for it says who read what."""
    path = settings.state / READERS
    if not path.exists():
        write_json(path, settings.parallelism)
    return int(read_json(path))


def _limits(reading: Reading, *, complete: bool) -> Limits:
    """Where each share ends, if what the topics hold now is all.

    Raises UserError if a topic is missing or nobody answers.
    """
    limits: list[dict[str, int]] = [{} for _ in range(reading.readers)]
    with closing(KafkaSource(reading.address, reading.spec, patience_s=60)) as source:
        there = source.partitions()
        lack = source.missing(there)
    if lack is not None:
        raise lack
    for partition in there:
        limits[reading.reader_of(partition)][partition.name] = partition.end
    return tuple(limits) if complete else None


def newest_checkpoint(root: Path) -> Path | None:
    """The newest complete checkpoint of any job below a folder; None if there is none."""
    found = root.glob("*/chk-*/_metadata")
    newest = max(found, key=lambda path: path.stat().st_mtime, default=None)
    return None if newest is None else newest.parent


def _events(told: dict[str, Any]) -> int:
    counts = told.get("counts", {})
    return sum(number for name, number in counts.items() if name.startswith("accepted/"))


def _told(settings: FlinkSettings) -> dict[str, Any]:
    """What the job last told of itself."""
    path = settings.state / TOTALS
    told: dict[str, Any] = read_json(path) if path.exists() else {}
    return told
