"""One epoch as a bounded Beam pipeline on the DirectRunner."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from pipelines import packets
from pipelines.drivers.direct.journal import Plan
from pipelines.drivers.direct.state_store import StateStore
from pipelines.durable import write_whole
from pipelines.graph import EventsToWindows, Packet, ReadAndValidate, WriteWindows
from pipelines.read_events import read_events
from pipelines.reports import Report, add_up
from pipelines.sinks import WindowSink
from pipelines.sources.files import FilesSource
from pipelines.sources.raw import Range
from pipelines.steps.step import Step
from schemas.spec import Spec


@dataclass(frozen=True)
class Epoch:
    """All that an epoch's stages need to know; it travels to them by pickle."""

    spec: Spec
    plan: Plan
    source: FilesSource
    store: StateStore
    sink: WindowSink
    shards: int

    def read(self, range_: Range) -> tuple[list[Packet], Report]:
        """Read and validate one range."""
        read = read_events(
            self.spec,
            range_.stream,
            range_.name,
            self.source.read_range(range_),
            self.plan.now_ms,
            self.shards,
        )
        return read.by_shard, Report.of(read.counts, read.dead_letters, read.newest_ms)

    def keyed(self, step: Step, group: bool) -> "KeyedStep":
        """The direct form of a keyed step: state in files named by epoch."""
        return KeyedStep(step, self, group)


@dataclass
class KeyedStep(beam.PTransform[Any, Any]):
    """Advance every shard that has input, once, from the state before this epoch."""

    step: Step
    epoch: Epoch
    group: bool

    def expand(self, inputs: Any) -> Any:
        alone = beam.MapTuple(lambda shard, data: (shard, [data]))
        gather = beam.GroupByKey() if self.group else alone
        grouped = inputs | "By shard" >> gather
        advance = beam.ParDo(_Advance(self.step, self.epoch))
        return grouped | "Advance" >> advance.with_output_types(Packet)


class _Advance(beam.DoFn):
    def __init__(self, step: Step, epoch: Epoch) -> None:
        self.step, self.epoch = step, epoch

    def process(self, element: Any) -> Iterator[Packet]:
        shard, inputs = element
        store, plan, name = self.epoch.store, self.epoch.plan, self.step.name
        events = packets.merge(packets.decode(data) for data in inputs)
        state, outputs = self.step.advance(store.load(name, shard, plan.epoch), events, plan.cut)
        store.save(name, shard, plan.epoch, dict(state))
        yield shard, packets.encode(outputs)


def run_epoch(epoch: Epoch, shards_with_state: list[int], scratch: Path) -> Report:
    """Run one planned epoch and give what its stages reported.

    Raises whatever a stage raised; then nothing of the epoch counts until it is run again.
    """
    told_in = scratch / f"{epoch.plan.epoch:06d}.report"
    nothing = packets.encode({})
    options = PipelineOptions(["--direct_num_workers=1"])
    logging.getLogger("apache_beam").setLevel(logging.CRITICAL)  # what fails is raised
    with beam.Pipeline(runner=FnApiRunner(), options=options) as pipeline:
        ranges = pipeline | "Planned ranges" >> beam.Create(list(epoch.plan.ranges))
        read, told = ranges | "Read and validate" >> ReadAndValidate(epoch.read)
        ticks = [(shard, nothing) for shard in shards_with_state]
        ticked = pipeline | "Shards with state" >> beam.Create(ticks).with_output_types(Packet)
        events = (read, ticked) | "Events and ticks" >> beam.Flatten()
        write = WriteWindows(epoch.sink.write, epoch.sink.seal)
        reports = events | "Events to windows" >> EventsToWindows(epoch.spec, epoch.keyed, write)
        _ = (
            (told, reports)
            | "Every report" >> beam.Flatten()
            | "In one place" >> beam.Map(lambda report: (None, report))
            | "Together" >> beam.GroupByKey()
            | "Keep" >> beam.MapTuple(lambda _, all_: _keep(all_, told_in))
        )
    return Report.from_bytes(told_in.read_bytes()) if told_in.exists() else Report()


def _keep(reports: Iterable[Report], path: Path) -> None:
    write_whole(path, add_up(reports).to_bytes())
