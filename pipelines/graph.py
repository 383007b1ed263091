"""The Beam graph of the pipeline: the top transform tells the story, a driver gives the parts.

Elements are packets: named Arrow tables of one shard as bytes (`pipelines.packets`).
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import apache_beam as beam

from pipelines import packets
from pipelines.reports import Report
from pipelines.steps.aggregate import AggregateStep
from pipelines.steps.attribute import AttributeStep
from pipelines.steps.step import Step, Tables
from schemas.spec import Spec

Packet = tuple[int, bytes]
"""A shard and named tables for it."""

_REPORT = "report"


@dataclass
class EventsToWindows(beam.PTransform[Any, Any]):
    """Events → sealed windows; gives the reports of all stages.

    `keyed` makes the transform that runs a step over every shard and keeps its state: it is all
    that differs between drivers. It is told whether its input must be grouped by shard: that of
    the second step is one packet a shard already. Unexposed expansion belongs to the first step;
    the steps by item and by semantic cell stand between the two steps by user.
    """

    spec: Spec
    keyed: Callable[[Step, bool], beam.PTransform[Any, Any]]
    write: beam.PTransform[Any, Any]

    def expand(self, events: Any) -> Any:
        attributed = events | "Attribute by user" >> self.keyed(AttributeStep(self.spec), True)
        told = attributed | "Tell" >> beam.Map(_report).with_output_types(Report)
        records = attributed | "Aggregate by user" >> self.keyed(AggregateStep(self.spec), False)
        sealed = records | "Write windows" >> self.write
        return (told, sealed) | "All reports" >> beam.Flatten()


@dataclass
class ReadAndValidate(beam.PTransform[Any, Any]):
    """Ranges of a source → packets of accepted events, and reports on what was read."""

    read: Callable[[Any], tuple[list[Packet], Report]]

    def expand(self, ranges: Any) -> Any:
        both = ranges | beam.ParDo(_Read(self.read)).with_outputs(_REPORT, main="events")
        events = both["events"] | "As packets" >> beam.Map(_same).with_output_types(Packet)
        return events, both[_REPORT]


@dataclass
class WriteWindows(beam.PTransform[Any, Any]):
    """Packets of records → files of windows, each window's manifest last; gives reports.

    `write` yields (window start, file entry) for one packet; `seal` takes a window's start and
    its entries.
    """

    write: Callable[[int, Tables], Iterable[tuple[int, Any]]]
    seal: Callable[[int, Iterable[Any]], Report]

    def expand(self, records: Any) -> Any:
        files = records | "Write shards" >> beam.ParDo(_Write(self.write))
        windows = files | "Group by window" >> beam.GroupByKey()
        return windows | "Seal" >> beam.MapTuple(self.seal).with_output_types(Report)


class _Read(beam.DoFn):
    def __init__(self, read: Callable[[Any], tuple[list[Packet], Report]]) -> None:
        self.read = read

    def process(self, element: Any) -> Iterator[Any]:
        events, report = self.read(element)
        yield from events
        yield beam.pvalue.TaggedOutput(_REPORT, report)


def _same(packet: Packet) -> Packet:
    return packet


def _report(packet: Packet) -> Report:
    return Report.of_outputs(packets.decode(packet[1]))


class _Write(beam.DoFn):
    def __init__(self, write: Callable[[int, Tables], Iterable[tuple[int, Any]]]) -> None:
        self.write = write

    def process(self, element: Packet) -> Iterable[tuple[int, Any]]:
        shard, data = element
        return self.write(shard, packets.decode(data))
