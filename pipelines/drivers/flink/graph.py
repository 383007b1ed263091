"""The graph of all drivers with the parts of this one."""

import apache_beam as beam

from pipelines.drivers.flink.carrier import Bytes
from pipelines.drivers.flink.gather import GatherAtCut
from pipelines.drivers.flink.keyed import KeyedStep
from pipelines.drivers.flink.read import Limits, ReadKafka
from pipelines.drivers.flink.reader import Reading
from pipelines.drivers.flink.settings import FlinkSettings
from pipelines.drivers.flink.tell import Tell
from pipelines.graph import EventsToWindows, WriteWindows
from pipelines.sinks import WindowSink


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
