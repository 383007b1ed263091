"""Epochs over files: what the next one reads and which cuts it may evaluate."""

from collections import defaultdict
from dataclasses import dataclass, field

from pipelines.drivers.direct.journal import Commit, Plan
from pipelines.drivers.direct.planner import Clock, Standing
from pipelines.sources.files import FilesSource
from pipelines.sources.first_time import UNKNOWN, first_time_ms
from pipelines.sources.raw import Range, SourceFile
from pipelines.steps.step import FINAL_CUT, NO_CUT
from schemas.spec import Spec


@dataclass
class FilesPlanner:
    """Plans epochs of about `epoch_rows` rows over a files source.

    The folder is one partition: bounded files are in no order, so the watermark moves only when
    all that is there was read; if the spec says `ordered`, it follows the first unread events.
    With `final` the input is complete: once all is read, the watermark is infinite.
    """

    spec: Spec
    source: FilesSource
    epoch_rows: int
    final: bool
    _starts: dict[tuple[str, int, int], int] = field(default_factory=dict)
    _cuts: dict[str, tuple[SourceFile, int, list[Range]]] = field(default_factory=dict)

    def next(self, commit: Commit, clock: Clock) -> Plan | None:
        """See `Planner.next`."""
        backlog = self._backlog(commit)
        watermark_ms = self._watermark(commit, backlog)
        cut = max(commit.cut, self._cut(backlog, watermark_ms))
        ranges = self._first_rows(backlog)
        if not ranges and cut == commit.cut:
            return None
        return Plan(commit.epoch + 1, tuple(ranges), cut, clock(), watermark_ms)

    def standing(self, commit: Commit, clock: Clock) -> Standing:  # noqa: ARG002  see Planner
        """See `Planner.standing`; nothing waits in a stream that was read to its end."""
        backlog = self._backlog(commit)
        lag = dict.fromkeys(self.spec.streams, 0)
        for one in backlog:
            lag[one.stream] += one.rows_estimate
        return Standing(lag, self._watermark(commit, backlog))

    def pause_s(self, commit: Commit, clock: Clock) -> float | None:  # noqa: ARG002  see Planner
        """Files have no idleness that one could wait for."""
        return None

    def _backlog(self, commit: Commit) -> list[Range]:
        """All unread ranges in the order in which they will be read."""
        unread = []
        for file in self.source.discover():
            start = commit.offsets.get(file.name, 0)
            unread += self._ranges(file, start)
        return self._in_time_order(unread) if self.spec.source.ordered else unread

    def _ranges(self, file: SourceFile, start: int) -> list[Range]:
        """What is unread of a file, looked into again only when it grew or some of it was read."""
        known = self._cuts.get(file.name)
        if known is None or known[:2] != (file, start):
            known = file, start, self.source.ranges(file, start, self.epoch_rows)
            self._cuts[file.name] = known
        return known[2]

    def _in_time_order(self, unread: list[Range]) -> list[Range]:
        """Ranges by where they begin; within a stream never against the order of its files."""
        reached: dict[str, int] = defaultdict(lambda: UNKNOWN)
        keyed = []
        for at, one in enumerate(unread):
            reached[one.stream] = max(reached[one.stream], self._start(one))
            keyed.append((reached[one.stream], at, one))
        return [one for _, _, one in sorted(keyed, key=lambda key: key[:2])]

    def _start(self, one: Range) -> int:
        key = (one.name, one.start, one.stop)
        if key not in self._starts:
            self._starts[key] = first_time_ms(self.source.root, one)
        return self._starts[key]

    def _watermark(self, commit: Commit, backlog: list[Range]) -> int | None:
        """Below it nothing is to come; None if that cannot be told."""
        if backlog and not self.spec.source.ordered:
            return None
        frontier = self._start(backlog[0]) - 1 if backlog else commit.newest_ms
        if frontier is None or frontier < 0:
            return None
        return frontier - self.spec.time.slack_ms

    def _cut(self, backlog: list[Range], watermark_ms: int | None) -> int:
        """The last cut that the watermark has passed."""
        if not backlog and self.final:
            return FINAL_CUT
        if watermark_ms is None:
            return NO_CUT
        return self.spec.window.cut_at_or_before(watermark_ms)

    def _first_rows(self, backlog: list[Range]) -> list[Range]:
        chosen: list[Range] = []
        rows = 0
        for one in backlog:
            if chosen and rows + one.rows_estimate > self.epoch_rows:
                break
            chosen.append(one)
            rows += one.rows_estimate
        return chosen
