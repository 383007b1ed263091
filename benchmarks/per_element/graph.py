"""The Beam graph: the same stages as in `pipelines.graph`, one element an event."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from benchmarks.per_element.aggregate import Aggregate
from benchmarks.per_element.attribute import COUNTS, REVISIONS, Attribute
from benchmarks.per_element.events import DEAD_LETTERS, Validate, read
from benchmarks.per_element.files import WriteFile, file_of_revision, file_of_user, seal
from benchmarks.per_element.reports import KeepReports, count_accepted
from benchmarks.speed_world.spec import speed_spec
from schemas.spec import Spec


def main(source: Path, windows: Path, shards: int) -> None:
    """Read `source`, write `windows`."""
    files = [(path.parent.name, str(path)) for path in sorted(source.glob("*/*.parquet"))]
    options = PipelineOptions(["--direct_num_workers=1"])
    with beam.Pipeline(runner=FnApiRunner(), options=options) as pipeline:
        named = pipeline | "Files" >> beam.Create(files)
        told = named | EventsToWindows(speed_spec(), windows, shards)
        _ = told | "Reports" >> KeepReports(windows)


@dataclass
class EventsToWindows(beam.PTransform[Any, Any]):
    """Files of events → sealed windows; gives the counts and dead letters of all stages."""

    spec: Spec
    root: Path
    shards: int

    def expand(self, files: Any) -> Any:
        events, refused = files | "Read and validate" >> ReadAndValidate(self.spec)
        credited = events | "Attribute by user" >> AttributeByUser(self.spec)
        users = credited.rows | "Aggregate by user" >> AggregateByUser(self.spec)
        write = WriteWindows(self.spec, self.root, self.shards)
        sealed = (users, credited[REVISIONS]) | "Write windows" >> write
        accepted = events | "Count accepted" >> beam.Map(count_accepted)
        counts = (accepted, credited[COUNTS], sealed) | "All counts" >> beam.Flatten()
        letters = (refused, credited[DEAD_LETTERS]) | "All letters" >> beam.Flatten()
        return counts, letters


@dataclass
class ReadAndValidate(beam.PTransform[Any, Any]):
    """Files → usable events, and dead letters."""

    spec: Spec

    def expand(self, files: Any) -> Any:
        validate = beam.ParDo(Validate(self.spec, time.time_ns() // 1_000_000))
        events = files | "Read" >> beam.FlatMap(read)
        judged = events | "Validate" >> validate.with_outputs(DEAD_LETTERS, main="events")
        return judged.events, judged[DEAD_LETTERS]


@dataclass
class AttributeByUser(beam.PTransform[Any, Any]):
    """Step 1 over the events of each user."""

    spec: Spec

    def expand(self, events: Any) -> Any:
        tags = (REVISIONS, DEAD_LETTERS, COUNTS)
        return (
            events
            | "Key by user" >> beam.Map(lambda event: (event[3]["user_id"], event))
            | "Of a user" >> beam.GroupByKey()
            | "Step 1" >> beam.ParDo(Attribute(self.spec)).with_outputs(*tags, main="rows")
        )


@dataclass
class AggregateByUser(beam.PTransform[Any, Any]):
    """Step 4 over the requests and actions of each user."""

    spec: Spec

    def expand(self, rows: Any) -> Any:
        return (
            rows
            | "Key by user" >> beam.MapTuple(lambda user_id, kind, row: (user_id, (kind, row)))
            | "Of a user" >> beam.GroupByKey()
            | "Step 4" >> beam.ParDo(Aggregate(self.spec))
        )


@dataclass
class WriteWindows(beam.PTransform[Any, Any]):
    """Records and revisions → files of windows, each window's manifest last; gives counts."""

    spec: Spec
    root: Path
    shards: int

    def expand(self, rows: Any) -> Any:
        users, revisions = rows
        records = users | "File of user" >> beam.Map(file_of_user, self.shards)
        late = revisions | "File of revision" >> beam.Map(file_of_revision, self.shards)
        return (
            (records, late)
            | "Users and revisions" >> beam.Flatten()
            | "Of a file" >> beam.GroupByKey()
            | "Write" >> beam.ParDo(WriteFile(self.spec, self.root))
            | "Of a window" >> beam.GroupByKey()
            | "Seal" >> beam.Map(seal, self.root)
        )
