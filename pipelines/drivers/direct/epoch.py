"""Epochs as bounded Beam pipelines on the DirectRunner: one graph, run once an epoch."""

import logging
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import numpy as np
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.transforms.environments import EmbeddedPythonEnvironment

from pipelines import packets
from pipelines.drivers.direct.behind import Behind
from pipelines.drivers.direct.in_process import InProcess, Shelf
from pipelines.drivers.direct.journal import Plan
from pipelines.drivers.direct.state_store import StateStore
from pipelines.drivers.sampling import rest_briefly
from pipelines.graph import (
    REPORT,
    EventsToWindows,
    Packet,
    ReadAndValidate,
    WriteWindows,
    packets_and_reports,
)
from pipelines.read_events import read_events
from pipelines.reports import Report, add_up
from pipelines.sinks import WindowSink
from pipelines.sources.raw import Range
from pipelines.sources.source import Source
from pipelines.steps.step import Step, Tables
from schemas.spec import Spec


@dataclass(frozen=True)
class Epoch:
    """What is to be done now: a plan, where windows go, and, by step, whose cut has come."""

    plan: Plan
    sink: WindowSink
    ticks: Mapping[str, list[int]]


class EpochRunner:
    """Runs planned epochs, one at a time, on a graph that is built once.

    Building the graph and translating it costs more than running it on a small epoch. `shards` is
    how many shards the state has.
    """

    def __init__(self, spec: Spec, source: Source, store: StateStore, shards: int) -> None:
        rest_briefly()
        self._stages = _Stages(spec, source, store, shards)
        self._options = _Options(["--direct_num_workers=1", "--experiments=beam_fn_api"])
        pipeline = beam.Pipeline(runner=FnApiRunner(), options=self._options)
        _build(pipeline, spec, self._stages)
        here = EmbeddedPythonEnvironment.default()
        self._graph = pipeline.to_runner_api(default_environment=here)
        shutil.rmtree(pipeline.local_tempdir, ignore_errors=True)  # only `Pipeline.run` would

    def run(self, epoch: Epoch) -> Report:
        """Run one epoch and give what its stages reported.

        Raises whatever a stage raised; then nothing of the epoch counts until it is run again.
        What the operating system refused comes as the OSError that it was: Beam makes it another.
        """
        logging.getLogger("apache_beam").setLevel(logging.CRITICAL)  # what fails is raised
        try:
            with Behind() as behind:
                self._stages.begin(epoch, behind)
                FnApiRunner().run_via_runner_api(self._graph, self._options)
        except RuntimeError:
            if self._stages.refused is not None:
                raise self._stages.refused from None
            raise
        return add_up(self._stages.reports)

    @property
    def begun(self) -> set[int]:
        """The starts of the windows whose requests the last epoch read."""
        return self._stages.begun


class _Options(PipelineOptions):
    """Options whose views are made once.

    Beam asks for a view hundreds of times while a graph is built, and makes a parser of command
    lines for each.
    """

    def view_as(self, cls: Any) -> Any:
        """See Beam; views of the same options share what they hold."""
        views = self.__dict__.setdefault("_views", {})
        if cls not in views:
            views[cls] = super().view_as(cls)
        return views[cls]


def _build(pipeline: beam.Pipeline, spec: Spec, stages: "_Stages") -> None:
    begun = pipeline | "Epoch" >> beam.Create([None])
    ranges = begun | "Planned ranges" >> beam.FlatMap(stages.ranges)
    reading = ReadAndValidate(stages.read, stages.is_item, stages.shelf)
    read, items, told = ranges | "Read and validate" >> reading
    ticked = begun | "Users whose cut has come" >> beam.ParDo(_Tick(stages, "attribute"))
    due = begun | "Items whose cut has come" >> beam.ParDo(_Tick(stages, "resolve_by_item"))
    events = (read, ticked) | "Events and ticks" >> beam.Flatten()
    items = (items, due) | "Items and ticks" >> beam.Flatten()
    write = WriteWindows(stages.write, stages.seal, stages.shelf)
    windows = EventsToWindows(spec, stages.keyed, write, stages.shelf, stages.shards)
    reports = (events, items) | "Events to windows" >> windows
    _ = (told, reports) | "Every report" >> beam.Flatten() | "Keep" >> beam.Map(stages.keep)


@beam.typehints.with_output_types(Packet)
class _Tick(beam.DoFn):
    """An empty packet for each shard of a step that must advance whatever is read."""

    def __init__(self, stages: "_Stages", step: str) -> None:
        self.stages, self.step = stages, step

    def process(self, _: None) -> Iterator[Packet]:
        for shard in self.stages.epoch.ticks.get(self.step, []):
            yield shard, self.stages.shelf.pack({})


class _Stages(InProcess):
    """What the graph's stages do for the epoch at hand."""

    def __init__(self, spec: Spec, source: Source, store: StateStore, shards: int) -> None:
        super().__init__()
        self.spec, self.source, self.store, self.shards = spec, source, store, shards
        self.shelf = Shelf()
        self.reports: list[Report] = []
        self.begun: set[int] = set()
        self.refused: OSError | None = None
        self.epoch: Epoch
        self.behind: Behind

    def begin(self, epoch: Epoch, behind: Behind) -> None:
        """Forget the epoch before."""
        self.epoch, self.behind = epoch, behind
        self.reports, self.begun, self.refused = [], set(), None
        self.shelf.clear()

    def ranges(self, _: None) -> Iterable[Range]:
        """What the epoch reads."""
        return self.epoch.plan.ranges

    def is_item(self, range_: Range) -> bool:
        """Whether a range holds items."""
        return self.spec.streams[range_.stream].kind == "item"

    def read(self, range_: Range) -> tuple[list[tuple[int, Tables]], Report]:
        """Read and validate one range."""
        with self._told():
            raw = self.source.read_range(range_)
        now_ms = self.epoch.plan.now_ms
        read = read_events(self.spec, range_.stream, range_.name, raw, now_ms, self.shards)
        newest = {} if read.newest_ms is None else {range_.name: read.newest_ms}
        report = Report.of(read.counts, read.dead_letters, newest)
        self.begun |= _windows_of(read.by_shard, self.spec)
        return ([] if self._drops(range_) else read.by_shard), report

    def _drops(self, range_: Range) -> bool:
        """Items are only counted where no step asks for them."""
        target = self.spec.target
        return self.is_item(range_) and (target is None or target.searchify is None)

    def keyed(self, step: Step, group: bool) -> "_KeyedStep":
        """The direct form of a keyed step: state in files named by epoch."""
        return _KeyedStep(step, self, group)

    def advance(self, step: Step, shard: int, inputs: Iterable[bytes]) -> Tables:
        """Advance one shard, once, from its state before this epoch; gives the outputs."""
        plan, name = self.epoch.plan, step.name
        events = packets.merge(self.shelf.unpack(data) for data in inputs)
        with self._told():
            before = self.store.load(name, shard, plan.epoch)
            state, outputs = step.advance(before, events, plan.cut)
        if state is not before:
            self.behind.begin(lambda: self.store.save(name, shard, plan.epoch, dict(state)))
        return outputs

    def write(self, records: Tables) -> Iterable[tuple[int, int]]:
        """The files of a shard's users, as (window start, number of the work that writes it)."""
        for start_ms, work in self.epoch.sink.files(records):
            yield start_ms, self.behind.begin(work)

    def seal(self, start_ms: int, written: Iterable[int]) -> Report:
        """See `WindowSink.seal`."""
        with self._told():
            entries = [self.behind.result(one) for one in written]
            return self.epoch.sink.seal(start_ms, entries)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Remember what the operating system refuses."""
        try:
            yield
        except OSError as error:
            self.refused = error
            raise

    def keep(self, report: Report) -> None:
        """Take in what a stage reports."""
        self.reports.append(report)


def _windows_of(by_shard: Iterable[tuple[int, Tables]], spec: Spec) -> set[int]:
    """The starts of the windows that these requests belong to."""
    length_ms = spec.window.length_ms
    tables = (tables["exposure"] for _, tables in by_shard if "exposure" in tables)
    indices = (np.unique(one["time_ms"].to_numpy() // length_ms) for one in tables)
    return {int(index) * length_ms for some in indices for index in some}


@dataclass
class _KeyedStep(beam.PTransform[Any, Any]):
    """Advance every shard that has input."""

    step: Step
    stages: _Stages
    group: bool

    def expand(self, inputs: Any) -> Any:
        alone = beam.MapTuple(lambda shard, data: (shard, [data]))
        gather = beam.GroupByKey() if self.group else alone
        grouped = inputs | "By shard" >> gather
        return packets_and_reports(grouped, beam.ParDo(_Advance(self.step, self.stages)))


class _Advance(beam.DoFn):
    def __init__(self, step: Step, stages: _Stages) -> None:
        self.step, self.stages = step, stages

    def process(self, element: Any) -> Iterator[Any]:
        shard, inputs = element
        outputs = self.stages.advance(self.step, shard, inputs)
        yield shard, self.stages.shelf.pack(outputs)
        yield beam.pvalue.TaggedOutput(REPORT, Report.of_outputs(outputs))
