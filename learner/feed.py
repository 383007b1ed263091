"""The stream of training batches: sealed windows in order, cut into whole users.

Batches are cut at fixed numbers of users from the window's first record on, whatever the files'
blocks and shards, so that a cursor (window, records) always falls between two batches.
"""

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from learner.batches import user_batch
from learner.cursor import Cursor
from learner.prefetch import Ahead
from learner.sample_keys import sample_keys
from models.batch import UserBatch
from models.layout import Layout
from schemas.durable import sha256_of
from schemas.errors import StoreError
from schemas.record import user_window_schema
from schemas.spec import Spec
from schemas.windows.flat import Int64Array
from schemas.windows.manifest import Manifest
from schemas.windows.packed import pack


class Windows(Protocol):
    """What the feed needs of a window store."""

    def windows(self) -> list[Manifest]:
        """The sealed windows by start."""
        ...

    def folder(self, start_ms: int) -> Path:
        """Where a window's files are."""
        ...

    def read_users(
        self, start_ms: int, spec: Spec | None, *, batch_users: int = ..., skip_users: int = ...
    ) -> Generator[pa.RecordBatch, None, None]:
        """The user records of a window from record `skip_users` on."""
        ...

    def read_revisions(self, start_ms: int) -> pa.Table:
        """All revisions that a window carries."""
        ...


@dataclass(frozen=True)
class Feed:
    """Sealed windows as batches.

    Args:
        store: the window store.
        spec: the spec the learner runs under.
        layout: follows from the spec.
        batch_users: users a batch; the last batch of a window may have fewer.
    """

    store: Windows
    spec: Spec
    layout: Layout
    batch_users: int

    @staticmethod
    def after(cursor: Cursor, sealed: Sequence[Manifest]) -> list[Manifest]:
        """The windows that the cursor has not completed, by start."""
        done = cursor.window_start_ms
        ordered = sorted(sealed, key=lambda manifest: manifest.window_start_ms)
        if done is None:
            return ordered
        first = done + 1 if cursor.complete else done
        return [manifest for manifest in ordered if manifest.window_start_ms >= first]

    def verify(self, manifest: Manifest) -> None:
        """Prove the digest of every file of a window. Raises StoreError if one lies."""
        folder = self.store.folder(manifest.window_start_ms)
        for entry in manifest.files:
            for file in (entry, entry.index):
                if file is not None:
                    _verify(folder / file.name, file.sha256)

    def lacking(self, manifest: Manifest) -> list[str]:
        """What the spec's record has and this window's lacks, and so is missing in all of it."""
        written = self.store.read_users(manifest.window_start_ms, None, batch_users=1)
        with closing(written):
            first = next(written, None)
        if first is None:
            return []
        expected = _fields(pa.struct(list(user_window_schema(self.spec))))
        return sorted(expected - _fields(pa.struct(list(first.schema))))

    def batches(self, manifest: Manifest, records: int = 0) -> Ahead[tuple[Cursor, UserBatch]]:
        """One window's batches after its first `records` users; read ahead in a thread."""
        return Ahead(self._batches(manifest, records))

    def keyed_batches(self, manifest: Manifest) -> Ahead[tuple[UserBatch, Int64Array]]:
        """All batches of one window, each with its samples' keys; read ahead in a thread."""
        packed = (pack(users) for users in self._users(manifest.window_start_ms, 0))
        return Ahead((user_batch(users, self.layout), sample_keys(users)) for users in packed)

    def revisions(self, manifest: Manifest) -> pa.Table:
        """The revisions of samples of earlier windows that a window carries."""
        return self.store.read_revisions(manifest.window_start_ms)

    def _batches(self, manifest: Manifest, records: int) -> Iterator[tuple[Cursor, UserBatch]]:
        start = manifest.window_start_ms
        for users in self._users(start, records):
            records += users.num_rows
            batch = user_batch(pack(users), self.layout)
            yield Cursor(start, records, complete=False), batch

    def _users(self, start_ms: int, records: int) -> Iterator[pa.RecordBatch]:
        read = self.store.read_users(
            start_ms, self.spec, batch_users=self.batch_users, skip_users=records
        )
        return recut(read, self.batch_users)


def _fields(kind: pa.DataType, where: str = "") -> set[str]:
    """Paths of all named fields."""
    if pa.types.is_list(kind):
        return _fields(kind.value_type, where)
    if not pa.types.is_struct(kind):
        return set()
    paths = set()
    for field in kind:
        path = f"{where}.{field.name}".lstrip(".")
        paths |= {path} | _fields(field.type, path)
    return paths


def _verify(path: Path, expected: str) -> None:
    received = sha256_of(path) if path.is_file() else "no file"
    if received != expected:
        raise StoreError(
            f"{path}: expected SHA-256 {expected} as the window's manifest says, received "
            f"{received}. The window is damaged and was not trained on: restore it from a copy, "
            "or remove its folder and let the pipeline build it again, then start the learner."
        )


def recut(parts: Iterator[pa.RecordBatch], rows: int) -> Iterator[pa.RecordBatch]:
    """The same rows in batches of `rows`; the last one may be shorter."""
    held: list[pa.RecordBatch] = []
    waiting = 0
    for part in parts:
        while part.num_rows:
            head = part.slice(0, rows - waiting)
            part = part.slice(head.num_rows)
            held.append(head)
            waiting += head.num_rows
            if waiting == rows:
                yield _joined(held)
                held, waiting = [], 0
    if held:
        yield _joined(held)


def _joined(parts: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    return parts[0] if len(parts) == 1 else pa.concat_batches(parts)
