"""All files of a window together, once the watermark has passed the cut that made them."""

import json
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
from apache_beam.coders import BytesCoder
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import BagStateSpec, TimerSpec, on_timer

from schemas.windows import FileEntry


class GatherAtCut(beam.PTransform[Any, Any]):
    """(window start, file entry) → (window start, its entries)."""

    def expand(self, entries: Any) -> Any:
        as_json = beam.MapTuple(_packed).with_output_types(tuple[int, bytes])
        gather: Any = _Gather  # Beam's own constructor has no types
        return entries | "As JSON" >> as_json | "At its cut" >> beam.ParDo(gather())


def _packed(start_ms: int, entry: FileEntry) -> tuple[int, bytes]:
    return start_ms, json.dumps(entry.to_json()).encode()


class _Gather(beam.DoFn):
    """Keeps entries by window."""

    ENTRIES = BagStateSpec("entries", BytesCoder())
    CUT = TimerSpec("cut", TimeDomain.WATERMARK)

    def process(
        self,
        element: tuple[int, bytes],
        timestamp: Any = beam.DoFn.TimestampParam,
        entries: Any = beam.DoFn.StateParam(ENTRIES),
        timer: Any = beam.DoFn.TimerParam(CUT),
    ) -> None:
        """Keep an entry until no other can come."""
        entries.add(element[1])
        timer.set(timestamp)

    @on_timer(CUT)
    def at_cut(
        self,
        start_ms: Any = beam.DoFn.KeyParam,
        entries: Any = beam.DoFn.StateParam(ENTRIES),
    ) -> Iterator[tuple[int, list[FileEntry]]]:
        """Give the window's entries, in an order of their own."""
        found = [FileEntry.from_json(json.loads(entry)) for entry in entries.read()]
        entries.clear()
        yield start_ms, sorted(found, key=lambda entry: entry.name)
