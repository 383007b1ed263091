"""The epoch journal: what an epoch will do, written before it runs; what it did, after.

An epoch that was planned and not committed is run again from its plan: same ranges, same cut,
same clock, hence the same bytes.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pipelines.reports import Report
from pipelines.sources.raw import Range
from pipelines.steps.step import FINAL_CUT, NO_CUT
from schemas.durable import read_json, write_json

KEPT = 8
"""Commits that stay beside the newest, for a person to look at."""


@dataclass(frozen=True)
class Plan:
    """One epoch: read these ranges by this clock, after every cut up to `cut` is evaluated.

    `watermark_ms` allowed that cut, if it is known. `active` names the partitions that were not
    silent at `now_ms`, for partitions that may fall idle.
    """

    epoch: int
    ranges: tuple[Range, ...]
    cut: int
    now_ms: int
    watermark_ms: int | None = None
    active: tuple[str, ...] = ()


@dataclass(frozen=True)
class Commit:
    """All that is true after an epoch: how far each file is read, the cut, what was counted.

    Of partitions that may fall idle it also says the newest accepted event and when, by the
    reader's clock, each last had something to read. `open_windows` are the starts of windows that
    hold a request and are not sealed.
    """

    epoch: int = 0
    offsets: Mapping[str, int] = field(default_factory=dict)
    cut: int = NO_CUT
    newest_ms: int | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    final: bool = False
    newest_by_partition_ms: Mapping[str, int] = field(default_factory=dict)
    active_ms: Mapping[str, int] = field(default_factory=dict)
    open_windows: tuple[int, ...] = ()

    def after(self, plan: Plan, report: Report, open_windows: Iterable[int] = ()) -> "Commit":
        """What is true once a plan was run, reported this and left these windows open."""
        offsets = dict(self.offsets)
        for one in plan.ranges:
            offsets[one.name] = max(one.stop, offsets.get(one.name, 0))
        active_ms = {**self.active_ms, **dict.fromkeys(plan.active, plan.now_ms)}
        newest_ms = dict(self.newest_by_partition_ms)
        for name in report.newest_ms.keys() & active_ms.keys():
            newest_ms[name] = max(report.newest_ms[name], newest_ms.get(name, 0))
        times = [*report.newest_ms.values(), *([] if self.newest_ms is None else [self.newest_ms])]
        return Commit(
            epoch=plan.epoch,
            offsets=offsets,
            cut=plan.cut,
            newest_ms=max(times, default=None),
            counts=dict(sorted((Counter(self.counts) + report.counts).items())),
            final=plan.cut >= FINAL_CUT,
            newest_by_partition_ms=newest_ms,
            active_ms=active_ms,
            open_windows=tuple(sorted(open_windows)),
        )


@dataclass(frozen=True)
class Journal:
    """Plans and commits in one folder; the commit of the highest epoch is the truth."""

    root: Path

    def last(self) -> Commit:
        """The newest commit; an empty one before the first epoch."""
        epochs = self._epochs("commit")
        if not epochs:
            return Commit()
        values: dict[str, Any] = read_json(self._path(max(epochs), "commit"))
        open_windows = tuple(values.pop("open_windows", ()))
        return Commit(open_windows=open_windows, **values)

    def pending(self, after: int) -> Plan | None:
        """The plan that was made after this epoch and not committed, if there is one."""
        path = self._path(after + 1, "plan")
        if not path.exists():
            return None
        values: dict[str, Any] = read_json(path)
        ranges = tuple(Range(**one) for one in values.pop("ranges"))
        active = tuple(values.pop("active", ()))
        return Plan(ranges=ranges, active=active, **values)

    def plan(self, plan: Plan) -> None:
        """Write a plan before it runs."""
        write_json(self._path(plan.epoch, "plan"), asdict(plan))

    def commit(self, commit: Commit) -> None:
        """The one atomic step that makes an epoch true."""
        write_json(self._path(commit.epoch, "commit"), asdict(commit))
        for kind in ("plan", "commit"):
            for epoch in self._epochs(kind):
                if epoch < commit.epoch - KEPT:
                    self._path(epoch, kind).unlink()

    def _epochs(self, kind: str) -> list[int]:
        return [int(path.name.split(".")[0]) for path in self.root.glob(f"[0-9]*.{kind}.json")]

    def _path(self, epoch: int, kind: str) -> Path:
        return self.root / f"{epoch:06d}.{kind}.json"
