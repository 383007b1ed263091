"""One part of the product: a process that is killed, and started again as a supervisor would."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from infra.processes import Process


@dataclass
class Part:
    """A process and what starts it.

    Args:
        name: for a person.
        command: as a user would type it.
        log: where it says what it has to say.
        worked_since: whether it has done something since a moment, by `time.time`.
        environment: what it finds there beside ours.
    """

    name: str
    command: list[str]
    log: Path
    worked_since: Callable[[float], bool]
    environment: Mapping[str, str] = field(default_factory=dict)
    kills: int = 0
    kills_at_work: int = 0
    _launched_at_s: float = 0.0

    def __post_init__(self) -> None:
        self.process = Process(self.name, self.log, self.environment)

    def launch(self) -> None:
        """Start it, and do not wait until it is ready."""
        self._launched_at_s = time.time()
        self.process.start(self.command)

    @property
    def at_work(self) -> bool:
        """Whether it has done something since it was launched."""
        return self.worked_since(self._launched_at_s)

    def kill(self) -> None:
        """`kill -9`, its children too."""
        assert self.process.lives(), f"{self.name} ended by itself: {self.log}"
        self.kills += 1
        self.kills_at_work += self.at_work
        self.process.kill()


def newest_since(folder: Path, pattern: str) -> Callable[[float], bool]:
    """Whether any such file was written since a moment."""

    def written_since(moment_s: float) -> bool:
        for path in folder.glob(pattern):
            with suppress(FileNotFoundError):
                if path.stat().st_mtime > moment_s:
                    return True
        return False

    return written_since


@contextmanager
def ended_at_last(parts: list[Part]) -> Iterator[None]:
    """Whatever happens, none of them is left running; the last one ends first."""
    try:
        yield
    finally:
        for part in reversed(parts):
            part.process.stop()


def heirs_of(name: str, value: str) -> list[str]:
    """Command lines of all processes that were started with a variable in their environment."""
    heirs = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"{name}={value}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                heirs.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
    return heirs
