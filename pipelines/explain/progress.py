"""What a pipeline had read, and after which cut: from its state and its dead letters."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.dead_letters import RAW_LIMIT_BYTES
from pipelines.drivers.direct.journal import Journal
from pipelines.drivers.direct.readings import Readings
from pipelines.explain.events import UNREAD, Reading, UserEvents
from pipelines.sources.files import FilesSource
from pipelines.sources.raw import SourceFile

CLOCK_REASONS = ("future", "late")
"""Why events are refused that are sound in themselves: it depends on when they were read."""

Place = tuple[str, int]
"""File and position."""

GROWING = (".jsonl", ".ndjson")
"""Files to which lines may be added; their offsets are positions."""

_ALL_ROWS = 1 << 62


@dataclass(frozen=True)
class Progress:
    """How far each file was read, after which cuts, and what was refused.

    Without `readings` all counts as read, and in time. `unread_from` is the first position of a
    file that was not read yet; nothing of a file that it does not name was read.
    """

    readings: Readings | None = None
    last_cut_ms: int | None = None
    unread_from: Mapping[str, int] = field(default_factory=dict)
    refused: Mapping[Place, str] = field(default_factory=dict)

    def reading(self, name: str, position: int, digest: bytes) -> Reading:
        """How an event was read."""
        stretch = None if self.readings is None else self.readings.at(name, position)
        last_cut_ms = None if stretch is None else stretch.last_cut_ms
        return Reading(name, position, last_cut_ms, digest, self._refused(name, position))

    def _refused(self, name: str, position: int) -> str | None:
        if self.is_known and position >= self.unread_from.get(name, 0):
            return UNREAD
        return self.refused.get((name, position))

    @property
    def is_known(self) -> bool:
        """Whether it is known when events were read."""
        return self.readings is not None

    def doubts(self, state: Path, events: UserEvents) -> Iterator[str]:
        """What is not known of when these events were read."""
        if self.readings is None:
            yield (
                f"there is no state of a pipeline at {state}: every event counts as read, and in "
                "time; name the state with --state"
            )
            return
        readings = [one.reading for one in events.read]
        if not readings:
            yield (
                f"the pipeline with the state {state} has read none of the user's events in this "
                "source: is it the source of these windows?"
            )
        untold = [r for r in readings if self.readings.at(r.source, r.position) is None]
        if untold:
            yield (
                f"{state} does not tell after which cut {len(untold)} of the {len(readings)} "
                "events of the user were read, for an older version of millstream read them: "
                "these count as read in time"
            )


def progress_of(state: Path, windows: Path, source: FilesSource, user: str) -> Progress:
    """The progress of the pipeline with this state, as far as its folder and its store tell.

    Of refused events those that may be the user's. Raises UserError if the source is none.
    """
    refused = dict(_refused(windows / "dead_letters", user))
    journal = Journal(state / "journal")
    if not journal.root.is_dir():
        return Progress(refused=refused)
    commit = journal.last()
    unread = {
        file.name: _unread_from(source, file, commit.offsets.get(file.name, 0))
        for file in source.discover()
    }
    return Progress(Readings.load(journal.root), commit.cut, unread, refused)


def _unread_from(source: FilesSource, file: SourceFile, offset: int) -> int:
    """The position of the first event after an offset; files that may grow end with it."""
    ranges = source.ranges(file, offset, _ALL_ROWS)
    if ranges:
        return ranges[0].first_position
    return offset if file.name.endswith(GROWING) else _ALL_ROWS


def _refused(folder: Path, user: str) -> Iterator[tuple[Place, str]]:
    columns = ["source", "position", "reason", "raw", "raw_bytes"]
    for path in sorted(folder.glob("*.parquet")):
        letters = pq.read_table(path, columns=columns)
        mine = letters.filter(pc.is_in(letters["reason"], value_set=pa.array(CLOCK_REASONS)))
        for row in mine.filter(_may_be_of(user, mine)).select(columns[:3]).to_pylist():
            yield (row["source"], row["position"]), row["reason"]


def _may_be_of(user: str, letters: pa.Table) -> pa.ChunkedArray:
    """Letters that hold the user's id as it is, or an escape, or that were cut short."""
    raw = letters["raw"]
    held = pc.or_(pc.match_substring(raw, user.encode()), pc.match_substring(raw, b"\\"))
    return pc.or_(held, pc.greater(letters["raw_bytes"], RAW_LIMIT_BYTES))
