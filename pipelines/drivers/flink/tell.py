"""What the stages report: counted once in state, told in files that a person can read.

One key, one writer. Flink takes state back to a checkpoint after a failure; files that were
written since are of a past that did not happen, and are removed before the next one is written.
"""

import json
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow.parquet as pq
from apache_beam.coders import BytesCoder
from apache_beam.metrics import Metrics
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import (
    BagStateSpec,
    ReadModifyWriteStateSpec,
    TimerSpec,
    on_timer,
)

from pipelines.drivers.flink.cuts import END
from pipelines.reports import Report, add_up
from schemas.durable import write_json

EVERY_S = 2.0
"""Files are about this old at most."""

TOTALS = "totals.json"

SPACE = "millstream"
"""Our counters among Flink's metrics; they begin anew when Flink restarts the job."""


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
    LAST = TimerSpec("last", TimeDomain.WATERMARK)

    def __init__(self, state: Path, windows: Path) -> None:
        self.state, self.windows = state, windows
        self._told_s = 0.0

    def process(
        self,
        element: tuple[int, bytes],
        held: Any = beam.DoFn.StateParam(HELD),
        told: Any = beam.DoFn.StateParam(TOLD),
        last: Any = beam.DoFn.TimerParam(LAST),
    ) -> None:
        """Keep a report; tell what was kept if that was not done for a while.

        A timer of the clock would hold the watermark back, and with it the end of the job.
        """
        held.add(element[1])
        last.set(END)
        if time.monotonic() - self._told_s > EVERY_S:
            self._tell(held, told, complete=False)

    @on_timer(LAST)
    def at_the_end(
        self,
        held: Any = beam.DoFn.StateParam(HELD),
        told: Any = beam.DoFn.StateParam(TOLD),
    ) -> None:
        """Tell all, and that it is all."""
        self._tell(held, told, complete=True)

    def _tell(self, held: Any, told: Any, *, complete: bool) -> None:
        reports = [Report.from_bytes(data) for data in held.read()]
        before = json.loads(told.read() or b'{"files": 0, "counts": {}}')
        report = add_up(reports)
        files = before["files"] + bool(report.letters().num_rows)
        counts = dict(sorted((Counter(before["counts"]) + report.counts).items()))
        now = {"files": files, "counts": counts, "complete": complete}
        self._write_letters(report, before["files"], files)
        for name, number in report.counts.items():
            Metrics.counter(SPACE, name).inc(number)
        write_json(self.state / TOTALS, now)
        told.write(json.dumps(now).encode())
        held.clear()
        self._told_s = time.monotonic()

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
