"""Which checkpoints are kept because they are the state of a registered version.

pins/<lineage id>       a file whose text is the name of the checkpoint's folder
"""

from dataclasses import dataclass
from pathlib import Path

from schemas.durable import write_bytes


@dataclass(frozen=True)
class Pins:
    """A file a pin, so that one thread may set one while another lets go of others."""

    folder: Path

    def pin(self, lineage: str, checkpoint: str) -> None:
        """Keep a checkpoint for as long as its version is registered."""
        write_bytes(self.folder / lineage, checkpoint.encode())

    def of(self, lineage: str) -> str | None:
        """The name of the checkpoint that is the state of a version; None if none is kept."""
        path = self.folder / lineage
        return path.read_text() if path.is_file() else None

    def release(self, lineage: str) -> None:
        """Let the next checkpoint that is written remove what this pin alone kept."""
        (self.folder / lineage).unlink(missing_ok=True)

    def lineages(self) -> set[str]:
        """All that are pinned."""
        if not self.folder.is_dir():
            return set()
        return {path.name for path in self.folder.iterdir() if not path.name.startswith(".")}

    def checkpoints(self) -> set[str]:
        """The folders that the pins name."""
        return {name for lineage in self.lineages() if (name := self.of(lineage))}
