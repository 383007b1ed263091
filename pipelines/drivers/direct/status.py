"""What a run is doing: told after every epoch and every look at the source."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipelines.drivers.direct.journal import Commit
from pipelines.drivers.direct.planner import Standing
from schemas.errors import StoreError
from schemas.windows.manifest_file import read_build, read_manifest
from schemas.windows.names import window_name, window_start


@dataclass(frozen=True)
class Work:
    """What this process has done: epochs, rows of their plans, seconds that they took."""

    epochs: int = 0
    rows: int = 0
    sealed: int = 0
    seconds: float = 0.0
    last_seconds: float = 0.0

    def with_epoch(self, rows: int, sealed: int, seconds: float) -> "Work":
        """And one epoch more."""
        return Work(
            self.epochs + 1,
            self.rows + rows,
            self.sealed + sealed,
            self.seconds + seconds,
            seconds,
        )


@dataclass(frozen=True)
class Sealed:
    """A sealed window: its cut, and when it was sealed."""

    name: str
    start_ms: int
    cut_ms: int
    sealed_at_ms: int

    @property
    def delay_s(self) -> float:
        """How long after its cut it was sealed, in seconds."""
        return (self.sealed_at_ms - self.cut_ms) / 1_000


@dataclass(frozen=True)
class Status:
    """A run at a moment. `answers` asks whether the source can be read now, from any thread."""

    commit: Commit
    standing: Standing
    work: Work
    last_sealed: Sealed | None
    state: Path
    answers: Callable[[], bool]

    def state_bytes(self) -> int:
        """The size of the state folder now, in bytes; may be asked from any thread."""
        return sum(_size(path) for path in self.state.rglob("*"))


def newest_sealed(windows: Path) -> Sealed | None:
    """The sealed window of the latest start; None without one."""
    names = [path.name for path in windows.iterdir()] if windows.is_dir() else []
    starts = [start_ms for start_ms in map(window_start, names) if start_ms is not None]
    found = (sealed_window(windows / window_name(start)) for start in sorted(starts, reverse=True))
    return next((one for one in found if one is not None), None)


def sealed_window(folder: Path) -> Sealed | None:
    """What is told of a sealed window; None where it is not sealed or nobody can tell."""
    try:
        manifest, build = read_manifest(folder), read_build(folder)
    except StoreError:
        return None
    if manifest is None or build is None:
        return None
    return Sealed(folder.name, manifest.window_start_ms, manifest.cut_ms, build.sealed_at_ms)


def _size(path: Path) -> int:
    """Zero for what the run has just removed."""
    try:
        return path.stat().st_size if path.is_file() else 0
    except FileNotFoundError:
        return 0
