"""Checkpoints: a folder each, safetensors and JSON, its commit file written last.

checkpoints/0000000012/
    <part>.safetensors      weights, optimisers, random state, metric sums, …
    rows-00.safetensors     of each table, the rows that changed since the checkpoint before
    state.json              cursor, lineage, counters
    _COMMIT.json            digest of each file, and the folders whose rows make up the tables,
                            in order; a folder without it is not a checkpoint
checkpoints/0000000011-rows/
    rows-00.safetensors     of each table, all rows, read while training went on: of use only with
                            the changes since, so a checkpoint that came after names both
    _COMMIT.json
checkpoints/pins/           which checkpoints are the state of a registered version, and so stay
checkpoints/_SINCE.json     the checkpoint of the last rewind: what is older is not gone back to

What only the rows of are needed any more, by checkpoints that build on them, is left with its rows.
"""

import json
import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

import xxhash
from torch import Tensor

from learner import tensors
from learner.pins import Pins
from models.tables.base import Changes
from schemas.durable import flush, read_json, write_json
from schemas.errors import UserError

log = logging.getLogger(__name__)

COMMIT = "_COMMIT.json"
SINCE = "_SINCE.json"
STATE = "state.json"
ROWS = "rows-"
_WHOLE = "-rows"
_SUFFIX = ".safetensors"


@dataclass(frozen=True)
class Snapshot:
    """Everything that a checkpoint holds: tensors by part, rows of tables, a JSON object."""

    parts: Mapping[str, Mapping[str, Tensor]]
    state: Mapping[str, Any]
    rows: Sequence[Sequence[Changes]] = ()
    """Of each table the changes, one after another, that make it up; to be saved: the last."""
    pin: str | None = None
    """The lineage of the version that this is the state of: it stays while that does."""


@dataclass
class Checkpoints:
    """The checkpoints of one state folder: the newest `keep`, pinned ones, what these need."""

    folder: Path
    keep: int = 3
    whole_every: int = 20
    """How many changes one after another may make up a table until all its rows are written."""
    chain: tuple[str, ...] = field(default=(), init=False)
    """The folders that make up the tables as they were at the last `save` or `newest`."""
    _whole: str | None = field(default=None, init=False)

    @property
    def pins(self) -> Pins:
        """Checkpoints that stay, by the lineage of their version."""
        return Pins(self.folder / "pins")

    @property
    def wants_whole(self) -> bool:
        """Whether it is time for `save_whole`."""
        return self._whole is None and len(self.chain) > self.whole_every

    def save(self, snapshot: Snapshot) -> Path:
        """Write a checkpoint; it exists from the moment its commit file does.

        Its rows are what changed since the last one that this object saved or gave.
        """
        numbers = self._numbers()
        path = self._path((numbers[-1] if numbers else 0) + 1)
        path.mkdir(parents=True)
        for name, part in snapshot.parts.items():
            tensors.save(path / f"{name}{_SUFFIX}", part)
        for at, changes in enumerate(snapshot.rows):
            tensors.save(_rows(path, at), changes[-1])
        write_json(path / STATE, snapshot.state)
        chain = (*self._built_on, path.name) if snapshot.rows else ()
        if snapshot.pin is not None and not self._stands(self.folder / self._pinned(snapshot.pin)):
            self.pins.pin(snapshot.pin, path.name)
        _commit(path, rows=chain)
        self.chain, self._whole = chain, None
        self._prune()
        return path

    def rows_at(self, snapshot: Snapshot) -> list[list[Changes]]:
        """Of each table the changes that make it up at a snapshot that is about to be saved.

        Raises UserError if those on the disk are damaged.
        """
        folders = [self.folder / name for name in self._built_on]
        try:
            for folder in folders:
                _verified(folder, ROWS)
            return [
                [*(tensors.load(_rows(one, at)) for one in folders), changes[-1]]
                for at, changes in enumerate(snapshot.rows)
            ]
        except DAMAGE as error:
            raise UserError(
                f"{self.folder}: expected the rows of tables as they were written, received "
                f"others ({error}). Start the learner again: it goes on from the newest whole "
                "checkpoint. If the disk fails, move the state folder first."
            ) from error

    def save_whole(self, live: Sequence[Changes]) -> Path:
        """Write all rows as they are read: with the next `save` they make up the tables."""
        path = self.folder / f"{self.chain[-1]}{_WHOLE}"
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
        for at, rows in enumerate(live):
            tensors.save(_rows(path, at), rows)
        _commit(path, rows=())
        self._whole = path.name
        return path

    def begin_again(self, pinned: str, state: Mapping[str, Any]) -> Path:
        """Write a pinned checkpoint once more, with this state, as the newest one.

        From then on nothing goes back to what was written before it. Killed in between, it is
        the newest all the same, and doing it again changes nothing.

        Raises OSError, ValueError, KeyError or TypeError if the pinned one is damaged.
        """
        snapshot = self.read(self.folder / pinned)
        self.chain = self.chain[:-1]  # The last rows are written again, in the new folder.
        path = self.save(replace(snapshot, state=state))
        write_json(self.folder / SINCE, int(path.name))
        return path

    def newest(self) -> Snapshot | None:
        """The newest whole checkpoint; None if none was ever committed.

        A damaged one is named in the log and the next older one is taken.
        Raises UserError if there are checkpoints but none is whole.
        """
        complaints = []
        for number in reversed(self._line()):
            try:
                return self.read(self._path(number))
            except DAMAGE as error:
                complaints.append(f"{self._path(number)}: {error}")
                log.warning("checkpoint damaged, trying the one before it: %s", complaints[-1])
        if complaints:
            raise UserError(
                f"{self.folder}: expected a whole checkpoint, received only damaged ones "
                f"({'; '.join(complaints)}). Restore the folder from a copy, or name an empty "
                "state folder to train from the first window again."
            )
        return None

    def oldest(self) -> Mapping[str, Any] | None:
        """The JSON object of the oldest of the `keep` newest; None without one.

        None also if it is damaged, or pruned by another thread at this moment.
        """
        for number in self._line()[-self.keep :][:1]:
            with suppress(*DAMAGE):
                _verified(self._path(number), STATE)
                state: Mapping[str, Any] = json.loads((self._path(number) / STATE).read_text())
                return state
        return None

    def read(self, path: Path) -> Snapshot:
        """One checkpoint, all its digests verified.

        Raises OSError, ValueError, KeyError or TypeError if it is damaged.
        """
        commit = _verified(path)
        state = json.loads((path / STATE).read_text())
        chain = [path.with_name(name) for name in commit["rows"]]
        for folder in chain[:-1]:
            _verified(folder, ROWS)
        parts = {
            name.removesuffix(_SUFFIX): tensors.load(path / name)
            for name in commit["files"]
            if name.endswith(_SUFFIX) and not name.startswith(ROWS)
        }
        n_tables = sum(name.startswith(ROWS) for name in commit["files"])
        rows = [[tensors.load(_rows(one, at)) for one in chain] for at in range(n_tables)]
        self.chain, self._whole = tuple(commit["rows"]), None
        return Snapshot(parts, state, rows)

    @property
    def _built_on(self) -> tuple[str, ...]:
        """The folders whose rows the next snapshot's go on from."""
        return self.chain if self._whole is None else (self._whole,)

    def _numbers(self) -> list[int]:
        if not self.folder.is_dir():
            return []
        return sorted(int(path.name) for path in self.folder.iterdir() if path.name.isdigit())

    def _line(self) -> list[int]:
        """The checkpoints since the last rewind that were committed, the newest last."""
        since = read_json(self.folder / SINCE) if (self.folder / SINCE).exists() else 0
        return [n for n in self._numbers() if n >= since and self._stands(self._path(n))]

    def _pinned(self, lineage: str) -> str:
        return self.pins.of(lineage) or "none"

    def _stands(self, path: Path) -> bool:
        """Whether it was committed and is more than its rows."""
        return (path / COMMIT).exists() and (path / STATE).exists()

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:010d}"

    def _prune(self) -> None:
        """Remove what no kept checkpoint needs, and folders that a crash left uncommitted.

        The newest go first, so that what is left at any moment has all that it needs.
        """
        kept = {self._path(number).name for number in self._line()[-self.keep :]}
        kept |= self.pins.checkpoints()
        built_on = {name for one in kept for name in _rows_of(self.folder / one)}
        for path in sorted(self.folder.glob("[0-9]*"), reverse=True):
            if path.name not in kept | built_on:
                (path / COMMIT).unlink(missing_ok=True)
                shutil.rmtree(path)
            elif path.name not in kept:
                _leave_rows(path)


DAMAGE = (OSError, ValueError, KeyError, TypeError)
"""What reading a damaged checkpoint raises."""


def _rows(folder: Path, table: int) -> Path:
    return folder / f"{ROWS}{table:02d}{_SUFFIX}"


def _commit(path: Path, rows: Sequence[str]) -> None:
    flush(path)
    files = {file.name: _digest_of(file) for file in sorted(path.iterdir())}
    flush(path.parent)
    write_json(path / COMMIT, {"files": files, "rows": list(rows)})


def _commit_of(path: Path) -> dict[str, Any]:
    commit: dict[str, Any] = json.loads((path / COMMIT).read_text())
    return commit


def _rows_of(path: Path) -> list[str]:
    try:
        rows: list[str] = _commit_of(path)["rows"]
    except DAMAGE:
        return []
    return rows


def _leave_rows(path: Path) -> None:
    """Remove all but the rows; what tells that it is a checkpoint goes first."""
    (path / STATE).unlink(missing_ok=True)
    for file in path.iterdir():
        if file.name != COMMIT and not file.name.startswith(ROWS):
            file.unlink()


def _verified(path: Path, prefix: str = "") -> dict[str, Any]:
    """The commit of a folder whose files, those of the prefix, are what it says."""
    commit = _commit_of(path)
    for name, expected in commit["files"].items():
        received = _digest_of(path / name) if name.startswith(prefix) else expected
        if received != expected:
            raise ValueError(f"{path.name}/{name}: expected XXH3 {expected}, received {received}")
    return commit


def _digest_of(path: Path) -> str:
    """XXH3-128 in hex: checkpoints are guarded against damage, not against people."""
    with path.open("rb") as file:
        if not os.fstat(file.fileno()).st_size:
            return xxhash.xxh3_128().hexdigest()
        with mmap(file.fileno(), 0, access=ACCESS_READ) as content:
            return xxhash.xxh3_128(content).hexdigest()
