"""The metrics of every window, one JSON line each, kept on disk until the end of time.

It is the learner's record of what it measured and at the same time the outbox to MLflow. A
checkpoint remembers its length, so that a restart cuts off what the lost work had written.
"""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from schemas.errors import UserError


@dataclass(frozen=True)
class Entry:
    """Metrics of one window, all known at one moment."""

    step: int
    """Index of the window since the state began."""
    window_start_ms: int
    time_ms: int
    """The window's end: the time that the metrics are of."""
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Journal:
    """An append-only file of entries."""

    path: Path

    def append(self, *entries: Entry) -> None:
        """Add a line each, all in one go. Raises UserError if the disk does not take them."""
        lines = [json.dumps(asdict(entry), separators=(",", ":")) + "\n" for entry in entries]
        try:
            with self.path.open("ab") as file:
                file.write("".join(lines).encode())
        except OSError as error:
            raise UserError(
                f"{self.path}: expected room for metrics, received: {error}. The last checkpoint "
                "is untouched. Make room, or move the state folder, and start the learner again: "
                "it goes on from there."
            ) from error

    def flush(self) -> int:
        """Make what was appended durable; the length in bytes."""
        with self.path.open("ab") as file:
            os.fsync(file.fileno())
            return file.tell()

    def cut(self, length: int) -> None:
        """Forget everything after `length` bytes."""
        with self.path.open("ab") as file:
            file.truncate(length)

    def whole(self) -> tuple[int, int]:
        """The length of its whole lines in bytes, and the step after their last one."""
        length, step = 0, 0
        for entry, offset in self.since(0):
            length, step = offset, max(step, entry.step + 1)
        return length, step

    def since(self, offset: int) -> Iterator[tuple[Entry, int]]:
        """The whole lines after `offset` bytes, each with the offset after it."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(offset)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                offset += len(line)
                yield Entry(**json.loads(line)), offset
