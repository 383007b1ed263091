"""Checkpoints: a folder each, safetensors and JSON, its commit file written last.

checkpoints/0000000012/
    <part>.safetensors      weights, optimisers, random state, metric sums, …
    state.json              cursor, lineage, counters
    _COMMIT.json            SHA-256 of each file; a folder without it is not a checkpoint
"""

import json
import logging
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from learner import tensors
from schemas.durable import flush, sha256_of, write_json
from schemas.errors import UserError

log = logging.getLogger(__name__)

COMMIT = "_COMMIT.json"
STATE = "state.json"


@dataclass(frozen=True)
class Snapshot:
    """Everything that a checkpoint holds: tensors by part and a JSON object."""

    parts: Mapping[str, Mapping[str, Tensor]]
    state: Mapping[str, Any]


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one state folder, the newest `keep` of them."""

    folder: Path
    keep: int = 3

    def save(self, snapshot: Snapshot) -> Path:
        """Write a checkpoint; it exists from the moment its commit file does."""
        numbers = self._numbers()
        path = self.folder / f"{(numbers[-1] if numbers else 0) + 1:010d}"
        path.mkdir(parents=True)
        for name, part in snapshot.parts.items():
            tensors.save(path / f"{name}.safetensors", part)
        write_json(path / STATE, snapshot.state)
        flush(self.folder)
        write_json(path / COMMIT, {file.name: sha256_of(file) for file in sorted(path.iterdir())})
        self._prune()
        return path

    def newest(self) -> Snapshot | None:
        """The newest whole checkpoint; None if none was ever committed.

        A damaged one is named in the log and the next older one is taken.
        Raises UserError if there are checkpoints but none is whole.
        """
        committed = [n for n in self._numbers() if (self._path(n) / COMMIT).exists()]
        complaints = []
        for number in reversed(committed):
            try:
                return _read(self._path(number))
            except _DAMAGE as error:
                complaints.append(f"{self._path(number)}: {error}")
                log.warning("checkpoint damaged, trying the one before it: %s", complaints[-1])
        if complaints:
            raise UserError(
                f"{self.folder}: expected a whole checkpoint, received only damaged ones "
                f"({'; '.join(complaints)}). Restore the folder from a copy, or name an empty "
                "state folder to train from the first window again."
            )
        return None

    def _numbers(self) -> list[int]:
        if not self.folder.is_dir():
            return []
        return sorted(int(path.name) for path in self.folder.iterdir() if path.name.isdigit())

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:010d}"

    def _prune(self) -> None:
        """Remove what is older than the kept ones, and folders that a crash left uncommitted."""
        whole = [n for n in self._numbers() if (self._path(n) / COMMIT).exists()]
        for number in set(self._numbers()) - set(whole[-self.keep :]):
            (self._path(number) / COMMIT).unlink(missing_ok=True)
            shutil.rmtree(self._path(number))


_DAMAGE = (OSError, ValueError, KeyError)


def _read(path: Path) -> Snapshot:
    """One checkpoint, its digests verified. Raises OSError, ValueError or KeyError if damaged."""
    digests = json.loads((path / COMMIT).read_text())
    for name, expected in digests.items():
        received = sha256_of(path / name)
        if received != expected:
            raise ValueError(f"{name}: expected SHA-256 {expected}, received {received}")
    parts = {
        name.removesuffix(".safetensors"): tensors.load(path / name)
        for name in digests
        if name.endswith(".safetensors")
    }
    return Snapshot(parts, json.loads((path / STATE).read_text()))
