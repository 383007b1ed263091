"""The graph of the pipeline on Flink, and its submission to a job server."""

import time
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineState

from pipelines.drivers.direct.guards import check_identity
from pipelines.drivers.flink.carrier import Bytes
from pipelines.drivers.flink.gather import GatherAtCut
from pipelines.drivers.flink.keyed import KeyedStep
from pipelines.drivers.flink.read import Limits, ReadKafka
from pipelines.drivers.flink.reader import Reading
from pipelines.drivers.flink.settings import FlinkSettings, options_of
from pipelines.drivers.flink.tell import TOTALS, Tell
from pipelines.graph import EventsToWindows, WriteWindows
from pipelines.sinks import WindowSink
from pipelines.sources.kafka.source import KafkaSource
from schemas.durable import read_json, write_bytes
from schemas.errors import UserError
from schemas.windows.names import FINAL_MARK


@dataclass(frozen=True)
class FlinkSummary:
    """What is true when a run ends."""

    job: str
    totals: Counter[str] = field(default_factory=Counter)
    final: bool = False


def run(settings: FlinkSettings) -> FlinkSummary:
    """Submit the job; wait for its end if the input is complete."""
    settings.state.mkdir(parents=True, exist_ok=True)
    check_identity(settings.state, settings.spec, settings.shards)
    reading = Reading(
        settings.spec,
        settings.source,
        settings.shards,
        settings.parallelism,
        settings.epoch_rows,
    )
    pipeline = beam.Pipeline(options=PipelineOptions(options_of(settings, None)))
    build(pipeline, settings, reading, limits_now(reading) if settings.final else None)
    result = pipeline.run()
    while not (told := told_by(settings)).get("complete"):
        if PipelineState.is_terminal(result.state):
            raise UserError("ended")
        time.sleep(0.5)
    result.cancel()
    write_bytes(settings.windows / FINAL_MARK, b"")
    return FlinkSummary("", Counter(told["counts"]), settings.final)


def told_by(settings: FlinkSettings) -> dict[str, Any]:
    """What the job last told of itself."""
    path = settings.state / TOTALS
    return read_json(path) if path.exists() else {}


def limits_now(reading: Reading) -> Limits:
    """Where each share ends if what the topics hold now is all."""
    limits: list[dict[str, int]] = [{} for _ in range(reading.readers)]
    with closing(KafkaSource(reading.address, reading.spec, patience_s=60)) as source:
        there = source.partitions()
        lack = source.missing(there)
        if lack is not None:
            raise lack
    for partition in there:
        limits[reading.reader_of(partition)][partition.name] = partition.end
    return tuple(limits)


def build(
    pipeline: beam.Pipeline, settings: FlinkSettings, reading: Reading, limits: Limits
) -> None:
    """The pipeline of all drivers, with the parts of this one."""
    sink = WindowSink(settings.spec, settings.windows.absolute(), settings.shards, None)
    carrier = Bytes()
    events, items, told = pipeline | "Read and validate" >> ReadKafka(reading, limits)
    write = WriteWindows(sink.write, sink.seal, carrier, GatherAtCut())
    windows = EventsToWindows(
        settings.spec, lambda step, grouped: KeyedStep(step), write, carrier, settings.shards
    )
    reports = (events, items) | "Events to windows" >> windows
    every = (told, reports) | "Every report" >> beam.Flatten()
    every | "Tell" >> Tell(settings.state.absolute(), settings.windows.absolute())
