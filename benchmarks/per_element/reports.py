"""What the stages tell beside their output: counts by name and dead letters."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam

from benchmarks.per_element.events import Event, Fields
from benchmarks.window_files.counts import keep_counts


def count_accepted(event: Event) -> tuple[str, int]:
    """The count of a usable event."""
    return f"accepted/{event[0]}", 1


def count_refused(letter: Fields) -> tuple[str, int]:
    """The count of a dead letter."""
    return f"dead/{letter['stream']}/{letter['reason']}", 1


@dataclass
class KeepReports(beam.PTransform[Any, Any]):
    """Counts and dead letters of all stages → one file of counts, one of letters a stream."""

    root: Path

    def expand(self, told: Any) -> Any:
        counts, letters = told
        of_letters = letters | "Count letters" >> beam.Map(count_refused)
        total = (counts, of_letters) | beam.Flatten() | "Add up" >> beam.CombinePerKey(sum)
        _ = total | beam.combiners.ToList() | "Keep counts" >> beam.Map(self._keep_counts)
        by_stream = letters | "By stream" >> beam.GroupBy(lambda letter: letter["stream"])
        return by_stream | "Keep letters" >> beam.MapTuple(self._keep_letters)

    def _keep_counts(self, counts: list[tuple[str, int]]) -> None:
        keep_counts(self.root, dict(counts))

    def _keep_letters(self, stream: str, letters: Iterable[Fields]) -> None:
        ordered = sorted(letters, key=lambda one: (one["source"], one["position"]))
        folder = self.root / "dead_letters"
        folder.mkdir(exist_ok=True)
        lines = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in ordered)
        (folder / f"{stream}.jsonl").write_text(lines)
