"""At which cut each stretch of each file was read: what decides whether an event came late.

The journal forgets old plans; this stays, for whoever asks later why a label is what it is. It
grows by a line for each file and cut at which something of it was read.
"""

import json
import os
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.drivers.direct.journal import Plan
from pipelines.steps.step import NO_CUT

READINGS = "readings.jsonl"


@dataclass(frozen=True)
class Stretch:
    """From this position on, a file was read after this cut (None: before the first)."""

    first_position: int
    last_cut_ms: int | None


class ReadingLog:
    """Writes the readings of planned epochs, each before it runs."""

    def __init__(self, root: Path) -> None:
        self._path = root / READINGS
        self._latest = {name: stretch.last_cut_ms for name, stretch in _lines(self._path)}

    def note(self, plan: Plan) -> None:
        """Note where the files of a plan are read at another cut than before.

        A plan that is run again notes nothing new.
        """
        cut_ms = None if plan.cut == NO_CUT else plan.cut
        fresh = []
        for one in plan.ranges:
            if one.name not in self._latest or self._latest[one.name] != cut_ms:
                self._latest[one.name] = cut_ms
                fresh.append({"file": one.name, "first": one.first_position, "cut": cut_ms})
        if fresh:
            _append(self._path, "".join(json.dumps(line) + "\n" for line in fresh))


@dataclass(frozen=True)
class Readings:
    """All that was noted, by file, in order of positions."""

    stretches: Mapping[str, tuple[Stretch, ...]]

    @classmethod
    def load(cls, root: Path) -> "Readings":
        """What stands in a journal's folder; nothing if nobody noted any."""
        found: dict[str, list[Stretch]] = {}
        for name, stretch in _lines(root / READINGS):
            found.setdefault(name, []).append(stretch)
        return cls({name: tuple(held) for name, held in found.items()})

    def at(self, name: str, position: int) -> Stretch | None:
        """How an event was read; None if that was not noted."""
        held = self.stretches.get(name, ())
        place = bisect_right(held, position, key=lambda stretch: stretch.first_position)
        return held[place - 1] if place else None


def _lines(path: Path) -> Iterator[tuple[str, Stretch]]:
    """Whole lines; the last one may have been cut short by a crash."""
    if not path.exists():
        return
    with path.open(encoding="utf-8") as file:
        for text in file:
            if text.endswith("\n"):
                line: dict[str, Any] = json.loads(text)
                yield line["file"], Stretch(line["first"], line["cut"])


def _append(path: Path, text: str) -> None:
    """Durably, after the last whole line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        file.truncate(_whole(file.seek(0, os.SEEK_END), path))
        file.write(text.encode())
        file.flush()
        os.fsync(file.fileno())


def _whole(size: int, path: Path) -> int:
    """The size without a line that was cut short."""
    with path.open("rb") as file:
        start = max(0, size - _LONGEST_LINE)
        file.seek(start)
        return start + file.read().rfind(b"\n") + 1


_LONGEST_LINE = 64 * 1024
"""More than a file's name and two numbers can take."""
