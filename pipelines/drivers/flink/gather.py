"""All files of a window together, once the watermark has passed the cut that made them.

One key holds the entries of all windows: timers of one key fire in order of time, so windows are
sealed in order, whatever leaps the watermark makes and however many machines there are.
"""

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.coders import BytesCoder
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import BagStateSpec, TimerSpec, on_timer

from pipelines.drivers.flink.cuts import cut_at
from schemas.windows import FileEntry


class GatherAtCut(beam.PTransform[Any, Any]):
    """(window start, file entry) → (window start, its entries), in order of windows."""

    def expand(self, entries: Any) -> Any:
        to_one = beam.MapTuple(_packed).with_output_types(tuple[int, bytes])
        gather: Any = _Gather  # Beam's own constructor has no types
        return entries | "To one place" >> to_one | "At its cut" >> beam.ParDo(gather())


def _packed(start_ms: int, file: FileEntry, timestamp: Any = beam.DoFn.TimestampParam) -> Any:
    return 0, _Entry(cut_at(timestamp), start_ms, file).to_bytes()


@dataclass(frozen=True)
class _Entry:
    """A file of a window, and the cut that made it."""

    cut: int
    start_ms: int
    file: FileEntry

    def to_bytes(self) -> bytes:
        """As JSON: a checkpoint holds it, which a later version may have to read."""
        return json.dumps([self.cut, self.start_ms, self.file.to_json()]).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "_Entry":
        """Back from `to_bytes`."""
        cut, start_ms, file = json.loads(data)
        return cls(cut, start_ms, FileEntry.from_json(file))


class _Gather(beam.DoFn):
    """Keeps the entries of all windows until their cuts have passed."""

    ENTRIES = BagStateSpec("entries", BytesCoder())
    CUT = TimerSpec("cut", TimeDomain.WATERMARK)

    def process(
        self,
        element: tuple[int, bytes],
        timestamp: Any = beam.DoFn.TimestampParam,
        entries: Any = beam.DoFn.StateParam(ENTRIES),
        timer: Any = beam.DoFn.TimerParam(CUT),
    ) -> None:
        """Keep an entry until no other of its window can come."""
        entries.add(element[1])
        timer.set(timestamp, dynamic_timer_tag=str(cut_at(timestamp)))

    @on_timer(CUT)
    def at_cut(
        self,
        timestamp: Any = beam.DoFn.TimestampParam,
        entries: Any = beam.DoFn.StateParam(ENTRIES),
    ) -> Iterator[tuple[int, list[FileEntry]]]:
        """Give the windows whose entries have all come by now, in order of time."""
        windows: dict[int, list[_Entry]] = defaultdict(list)
        for data in entries.read():
            entry = _Entry.from_bytes(data)
            windows[entry.start_ms].append(entry)
        entries.clear()
        for start_ms, some in sorted(windows.items()):
            if max(entry.cut for entry in some) <= cut_at(timestamp):
                yield start_ms, sorted((one.file for one in some), key=lambda file: file.name)
            else:
                for entry in some:
                    entries.add(entry.to_bytes())
