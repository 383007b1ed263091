"""The Beam graph of the pipeline: the top transform tells the story, a driver gives the parts.

Elements are packets: named Arrow tables of one shard, as bytes of the driver's carrier.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam
from apache_beam.typehints.native_type_compatibility import convert_to_beam_type

from pipelines.packets import Carrier
from pipelines.reports import Report
from pipelines.steps.aggregate import AggregateStep
from pipelines.steps.attribute import AttributeStep
from pipelines.steps.resolve import ResolveByCellStep, ResolveByItemStep, route
from pipelines.steps.step import Step, Tables
from schemas.spec import Searchify, Spec

Packet = tuple[int, bytes]
"""A shard and named tables for it."""

REPORT = "report"
"""Tags what a stage tells beside its output."""

ITEMS, CELL, USERS = "items", "cell", "users"
"""Tag what goes to the shards of items, to the query corpus, and to the shards of users."""


@dataclass
class EventsToWindows(beam.PTransform[Any, Any]):
    """Events by user, and items by item → sealed windows; gives the reports of all stages.

    `keyed` makes the transform that runs a step over every shard and keeps its state, and gives
    its packets and reports: it is all that differs between drivers. It is told whether its input
    must be grouped by shard, or is one packet a shard already. `shards` is how many shards steps
    have. Without searchification what the first step gives goes straight to the last.
    """

    spec: Spec
    keyed: Callable[[Step, bool], beam.PTransform[Any, Any]]
    write: beam.PTransform[Any, Any]
    carrier: Carrier
    shards: int

    def expand(self, events_and_items: Any) -> Any:
        events, items = events_and_items
        target = self.spec.target
        attribute, aggregate = AttributeStep(self.spec), AggregateStep(self.spec)
        attributed, credited = events | "Attribute by user" >> self.keyed(attribute, True)
        reports = [credited]
        if target is not None and target.searchify is not None:
            resolve = ResolveQueries(
                self.spec, target.searchify, self.keyed, self.carrier, self.shards
            )
            attributed, resolved = (attributed, items) | "Resolve queries" >> resolve
            reports += resolved
        grouped = len(reports) > 1
        records, folded = attributed | "Aggregate by user" >> self.keyed(aggregate, grouped)
        sealed = records | "Write windows" >> self.write
        return (*reports, folded, sealed) | "All reports" >> beam.Flatten()


@dataclass
class ResolveQueries(beam.PTransform[Any, Any]):
    """What the first step gave, and items → the same by user, with queries and texts; reports."""

    spec: Spec
    searchify: Searchify
    keyed: Callable[[Step, bool], beam.PTransform[Any, Any]]
    carrier: Carrier
    shards: int

    def expand(self, attributed_and_items: Any) -> Any:
        attributed, items = attributed_and_items
        first = attributed | "Ask" >> self._routed()
        by_item = ResolveByItemStep(self.spec, self.searchify)
        asked = (items, first[ITEMS]) | "Items and questions" >> beam.Flatten()
        found, told = asked | "Resolve by item" >> self.keyed(by_item, True)
        second = found | "Ask the corpus" >> self._routed()
        by_cell = ResolveByCellStep(self.spec, self.searchify)
        open_ = (first[CELL], second[CELL]) | "Open questions" >> beam.Flatten()
        nearest, told_too = open_ | "Resolve by cell" >> self.keyed(by_cell, True)
        third = nearest | "Answer" >> self._routed()
        parts = (first[USERS], second[USERS], third[USERS])
        answered = parts | "Requests and answers" >> beam.Flatten()
        return answered, [told, told_too]

    def _routed(self) -> Any:
        route = beam.ParDo(_Route(self.carrier, self.shards))
        return _ByTag(route.with_outputs(ITEMS, CELL, main=USERS))


@dataclass
class _ByTag(beam.PTransform[Any, Any]):
    """Outputs by tag, each of packets."""

    stage: Any

    def expand(self, packets: Any) -> Any:
        routed = packets | "Route" >> self.stage
        return {tag: as_packets(routed[tag]) for tag in (ITEMS, CELL, USERS)}


class _Route(beam.DoFn):
    """Splits one packet by where its tables go next."""

    def __init__(self, carrier: Carrier, shards: int) -> None:
        self.carrier, self.shards = carrier, shards

    def process(self, packet: Packet) -> Iterator[Any]:
        shard, data = packet
        tables = self.carrier.unpack(data)
        for item_shard, part in route.to_items(tables, self.shards):
            yield beam.pvalue.TaggedOutput(ITEMS, (item_shard, self.carrier.pack(part)))
        for cell, part in route.to_cell(tables):
            yield beam.pvalue.TaggedOutput(CELL, (cell, self.carrier.pack(part)))
        for user_shard, part in route.to_users(tables, self.shards):
            yield user_shard, self.carrier.pack(part)
        if staying := route.staying(tables):
            yield shard, self.carrier.pack(staying)


@dataclass
class ReadAndValidate(beam.PTransform[Any, Any]):
    """Ranges of a source → packets of accepted events, packets of items, and reports.

    `read` gives the events of a range by shard, of items if `is_item` of the range holds.
    """

    read: Callable[[Any], tuple[list[tuple[int, Tables]], Report]]
    is_item: Callable[[Any], bool]
    carrier: Carrier

    def expand(self, ranges: Any) -> Any:
        stage = beam.ParDo(_Read(self.read, self.is_item, self.carrier))
        read = ranges | stage.with_outputs(REPORT, ITEMS, main=USERS)
        return *(as_packets(read[tag]) for tag in (USERS, ITEMS)), read[REPORT]


def as_packets(tagged: Any) -> Any:
    """One output of a stage with several, known to be of packets: Beam takes no hint for these."""
    tagged.element_type = convert_to_beam_type(Packet)
    return tagged


def packets_and_reports(inputs: Any, stage: beam.ParDo) -> tuple[Any, Any]:
    """The outputs of a stage that yields packets and, tagged, reports."""
    both = inputs | stage.with_outputs(REPORT, main="packets")
    return as_packets(both["packets"]), both[REPORT]


@dataclass
class WriteWindows(beam.PTransform[Any, Any]):
    """Packets of records → files of windows, each window's manifest last; gives reports.

    `write` yields (window start, file entry) for the tables of a shard of the last step; `gather`
    brings a window's entries together when all have come; `seal` takes its start and its entries.
    """

    write: Callable[[Tables], Iterable[tuple[int, Any]]]
    seal: Callable[[int, Iterable[Any]], Report]
    carrier: Carrier
    gather: beam.PTransform[Any, Any] = field(default_factory=beam.GroupByKey)

    def expand(self, records: Any) -> Any:
        files = records | "Write shards" >> beam.ParDo(_Write(self.write, self.carrier))
        windows = files | "Group by window" >> self.gather
        return windows | "Seal" >> beam.MapTuple(self.seal).with_output_types(Report)


class _Read(beam.DoFn):
    def __init__(
        self, read: Callable[..., Any], is_item: Callable[[Any], bool], carrier: Carrier
    ) -> None:
        self.read, self.is_item, self.carrier = read, is_item, carrier

    def process(self, element: Any) -> Iterator[Any]:
        by_shard, report = self.read(element)
        is_item = self.is_item(element)
        for shard, events in by_shard:
            packet = shard, self.carrier.pack(events)
            yield beam.pvalue.TaggedOutput(ITEMS, packet) if is_item else packet
        yield beam.pvalue.TaggedOutput(REPORT, report)


class _Write(beam.DoFn):
    def __init__(self, write: Callable[..., Any], carrier: Carrier) -> None:
        self.write, self.carrier = write, carrier

    def process(self, element: Packet) -> Iterable[tuple[int, Any]]:
        return self.write(self.carrier.unpack(element[1]))
