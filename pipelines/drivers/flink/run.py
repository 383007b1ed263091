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

from pipelines.drivers.direct.guards import check_identity, locked, stoppable
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

JOB = "job.json"
"""Names the job that was handed in last."""

POLL_S = 0.5

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
        check_identity(settings.state, settings.spec, settings.shards)
        if not _told(settings).get("complete"):
            server = JobServer(settings.job_server)
            server.check()
            _watch(settings, server, _job(settings, server), watch, stopped)
    told = _told(settings)
    complete = told.get("complete", False)
    if complete:
        write_bytes(settings.windows / FINAL_MARK, b"")
    totals = Counter(told.get("counts", {}))
    return FlinkSummary(totals["windows"], totals, complete)


def _job(settings: FlinkSettings, server: JobServer) -> str:
    """The job that runs, or a new one."""
    path = settings.state / JOB
    job: str = read_json(path)["job"] if path.exists() else ""
    if not job or not server.runs(job):
        job = _submit(settings, server)
        write_json(path, {"job": job})
    return job


def _submit(settings: FlinkSettings, server: JobServer) -> str:
    checkpoint = newest_checkpoint(settings.checkpoints)
    reading = Reading(
        spec=settings.spec,
        address=settings.source,
        shards=settings.shards,
        readers=settings.parallelism,
        rows=settings.epoch_rows,
    )
    limits = _limits(reading, complete=settings.final)
    options = PipelineOptions(options_of(settings, checkpoint))
    pipeline = beam.Pipeline(options=options)
    build(pipeline, settings, reading, limits)
    return server.submit(pipeline, options)


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


def _watch(
    settings: FlinkSettings,
    server: JobServer,
    job: str,
    watch: Watch,
    stopped: Callable[[], bool],
) -> None:
    """Look at the job until its input is complete and sealed, or somebody asks for the end."""
    read = 0
    while not (told := _told(settings)).get("complete") and not stopped():
        events = _events(told)
        watch(events - read)
        read = events
        if not server.runs(job):
            raise UserError(
                f"{settings.job_server}: expected job {job} to run, received its end: "
                f"{server.why_ended(job)}. What was read up to its last checkpoint is not lost: "
                "the same command goes on from there."
            )
        time.sleep(POLL_S)
    watch(_events(_told(settings)) - read)
    server.cancel(job)


def _events(told: dict[str, Any]) -> int:
    counts = told.get("counts", {})
    return sum(number for name, number in counts.items() if name.startswith("accepted/"))


def _told(settings: FlinkSettings) -> dict[str, Any]:
    """What the job last told of itself."""
    path = settings.state / TOTALS
    told: dict[str, Any] = read_json(path) if path.exists() else {}
    return told
