"""The Beam graph of the pipeline: the top transform tells the story, a driver gives the parts.

Elements are packets: named Arrow tables of one shard, as bytes of the driver's carrier.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import apache_beam as beam

from pipelines.packets import Carrier
from pipelines.reports import Report
from pipelines.steps.aggregate import AggregateStep
from pipelines.steps.attribute import AttributeStep
from pipelines.steps.step import Step, Tables
from schemas.spec import Spec

Packet = tuple[int, bytes]
"""A shard and named tables for it."""

REPORT = "report"
"""Tags what a stage tells beside its output."""


@dataclass
class EventsToWindows(beam.PTransform[Any, Any]):
    """Events → sealed windows; gives the reports of all stages.

    `keyed` makes the transform that runs a step over every shard and keeps its state, and gives
    its packets and reports: it is all that differs between drivers. It is told whether its input
    must be grouped by shard: that of the second step is one packet a shard already. Unexposed
    expansion belongs to the first step; the steps by item and by semantic cell stand between the
    two steps by user.
    """

    spec: Spec
    keyed: Callable[[Step, bool], beam.PTransform[Any, Any]]
    write: beam.PTransform[Any, Any]

    def expand(self, events: Any) -> Any:
        attribute, aggregate = AttributeStep(self.spec), AggregateStep(self.spec)
        attributed, credited = events | "Attribute by user" >> self.keyed(attribute, True)
        records, folded = attributed | "Aggregate by user" >> self.keyed(aggregate, False)
        sealed = records | "Write windows" >> self.write
        return (credited, folded, sealed) | "All reports" >> beam.Flatten()


@dataclass
class ReadAndValidate(beam.PTransform[Any, Any]):
    """Ranges of a source → packets of accepted events, and reports on what was read."""

    read: Callable[[Any], tuple[list[tuple[int, Tables]], Report]]
    carrier: Carrier

    def expand(self, ranges: Any) -> Any:
        return packets_and_reports(ranges, beam.ParDo(_Read(self.read, self.carrier)))


def packets_and_reports(inputs: Any, stage: beam.ParDo) -> tuple[Any, Any]:
    """The outputs of a stage that yields packets and, tagged, reports."""
    both = inputs | stage.with_outputs(REPORT, main="packets")
    packets = both["packets"] | "As packets" >> beam.Map(_same).with_output_types(Packet)
    return packets, both[REPORT]


def _same(packet: Packet) -> Packet:
    return packet


@dataclass
class WriteWindows(beam.PTransform[Any, Any]):
    """Packets of records → files of windows, each window's manifest last; gives reports.

    `write` yields (window start, file entry) for one shard's tables; `seal` takes a window's
    start and its entries.
    """

    write: Callable[[int, Tables], Iterable[tuple[int, Any]]]
    seal: Callable[[int, Iterable[Any]], Report]
    carrier: Carrier

    def expand(self, records: Any) -> Any:
        files = records | "Write shards" >> beam.ParDo(_Write(self.write, self.carrier))
        windows = files | "Group by window" >> beam.GroupByKey()
        return windows | "Seal" >> beam.MapTuple(self.seal).with_output_types(Report)


class _Read(beam.DoFn):
    def __init__(self, read: Callable[..., Any], carrier: Carrier) -> None:
        self.read, self.carrier = read, carrier

    def process(self, element: Any) -> Iterator[Any]:
        by_shard, report = self.read(element)
        for shard, events in by_shard:
            yield shard, self.carrier.pack(events)
        yield beam.pvalue.TaggedOutput(REPORT, report)


class _Write(beam.DoFn):
    def __init__(self, write: Callable[..., Any], carrier: Carrier) -> None:
        self.write, self.carrier = write, carrier

    def process(self, element: Packet) -> Iterable[tuple[int, Any]]:
        shard, data = element
        return self.write(shard, self.carrier.unpack(data))
