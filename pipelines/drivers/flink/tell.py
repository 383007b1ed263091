"""What the stages report: counted once in state, told in files that a person can read.

One key, one writer. Flink takes state back to a checkpoint after a failure; files that were
written since are of a past that did not happen, and are removed before the next one is written.
"""

import json
import math
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow.parquet as pq
from apache_beam.coders import BytesCoder
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import (
    BagStateSpec,
    ReadModifyWriteStateSpec,
    TimerSpec,
    on_timer,
)
from apache_beam.utils.timestamp import Timestamp

from pipelines.drivers.flink.cuts import END
from pipelines.reports import Report, add_up
from schemas.durable import write_json

EVERY_S = 2.0
"""Files are this old at most."""

TOTALS = "totals.json"


@dataclass
class Tell(beam.PTransform[Any, Any]):
    """Reports → totals in `state`, dead letters beside the windows."""

    state: Path
    windows: Path

    def expand(self, reports: Any) -> Any:
        packed = beam.Map(lambda report: (0, report.to_bytes()))
        keyed = reports | "To one place" >> packed.with_output_types(tuple[int, bytes])
        return keyed | "Add up" >> beam.ParDo(_Tell(self.state, self.windows))


class _Tell(beam.DoFn):
    HELD = BagStateSpec("held", BytesCoder())
    TOLD = ReadModifyWriteStateSpec("told", BytesCoder())
    SOON = TimerSpec("soon", TimeDomain.REAL_TIME)
    LAST = TimerSpec("last", TimeDomain.WATERMARK)

    def __init__(self, state: Path, windows: Path) -> None:
        self.state, self.windows = state, windows

    def process(
        self,
        element: tuple[int, bytes],
        held: Any = beam.DoFn.StateParam(HELD),
        soon: Any = beam.DoFn.TimerParam(SOON),
        last: Any = beam.DoFn.TimerParam(LAST),
    ) -> None:
        """Keep a report until the next moment to tell."""
        held.add(element[1])
        moment_s = (math.floor(time.time() / EVERY_S) + 1) * EVERY_S
        soon.set(Timestamp(moment_s), dynamic_timer_tag=str(moment_s))
        last.set(END)

    @on_timer(SOON)
    def now_and_then(
        self,
        held: Any = beam.DoFn.StateParam(HELD),
        told: Any = beam.DoFn.StateParam(TOLD),
    ) -> None:
        """Tell what has come."""
        self._tell(held, told)

    @on_timer(LAST)
    def at_the_end(
        self,
        held: Any = beam.DoFn.StateParam(HELD),
        told: Any = beam.DoFn.StateParam(TOLD),
    ) -> None:
        """Tell all."""
        self._tell(held, told)

    def _tell(self, held: Any, told: Any) -> None:
        reports = [Report.from_bytes(data) for data in held.read()]
        before = json.loads(told.read() or b'{"files": 0, "counts": {}}')
        report = add_up(reports)
        files = before["files"] + bool(report.letters().num_rows)
        now = {"files": files, "counts": dict(Counter(before["counts"]) + report.counts)}
        self._write_letters(report, before["files"], files)
        write_json(self.state / TOTALS, now)
        told.write(json.dumps(now).encode())
        held.clear()

    def _write_letters(self, report: Report, before: int, files: int) -> None:
        folder = self.windows / "dead_letters"
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.glob("flink-*.parquet"):
            if int(path.stem.removeprefix("flink-")) > before:
                path.unlink()
        if files > before:
            draft = folder / ".flink.tmp"
            pq.write_table(report.letters(), draft)
            draft.replace(folder / f"flink-{files:06d}.parquet")
