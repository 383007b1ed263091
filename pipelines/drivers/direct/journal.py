"""The epoch journal: what an epoch will do, written before it runs; what it did, after.

An epoch that was planned and not committed is run again from its plan: same ranges, same cut,
same clock, hence the same bytes.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pipelines.sources.raw import Range
from pipelines.steps.step import NO_CUT
from schemas.durable import read_json, write_json

KEPT = 8
"""Commits that stay beside the newest, for a person to look at."""


@dataclass(frozen=True)
class Plan:
    """One epoch: read these ranges by this clock, after every cut up to `cut` is evaluated."""

    epoch: int
    ranges: tuple[Range, ...]
    cut: int
    now_ms: int


@dataclass(frozen=True)
class Commit:
    """All that is true after an epoch: how far each file is read, the cut, what was counted."""

    epoch: int = 0
    offsets: Mapping[str, int] = field(default_factory=dict)
    cut: int = NO_CUT
    newest_ms: int | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    final: bool = False


@dataclass(frozen=True)
class Journal:
    """Plans and commits in one folder; the commit of the highest epoch is the truth."""

    root: Path

    def last(self) -> Commit:
        """The newest commit; an empty one before the first epoch."""
        epochs = self._epochs("commit")
        if not epochs:
            return Commit()
        return Commit(**read_json(self._path(max(epochs), "commit")))

    def pending(self, after: int) -> Plan | None:
        """The plan that was made after this epoch and not committed, if there is one."""
        path = self._path(after + 1, "plan")
        if not path.exists():
            return None
        values: dict[str, Any] = read_json(path)
        ranges = tuple(Range(**one) for one in values.pop("ranges"))
        return Plan(ranges=ranges, **values)

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
