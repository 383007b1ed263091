"""Reading sealed windows, columnar."""

from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from schemas.errors import StoreError
from schemas.hashing import shard_of
from schemas.record import revision_schema, user_window_schema
from schemas.spec import Spec
from schemas.windows.container import damaged
from schemas.windows.manifest import Manifest, SealedFile
from schemas.windows.manifest_file import read_manifest
from schemas.windows.names import revisions_name, shard_name, window_name, window_start
from schemas.windows.resolve import resolve
from schemas.windows.shard import ShardFile, open_shard, regrouped
from schemas.windows.verify import verify_window

BATCH_USERS = 1024


class WindowStore:
    """The sealed windows under one folder; a folder without a manifest does not exist.

    All that is missing or damaged raises StoreError. Manifests are remembered, for a sealed
    window never changes.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._manifests: dict[int, Manifest] = {}

    def windows(self) -> list[Manifest]:
        """The manifests of all sealed windows, by start."""
        found = (self._find(start_ms) for start_ms in self._starts())
        return [manifest for manifest in found if manifest is not None]

    def manifest(self, start_ms: int) -> Manifest:
        """The manifest of the window that begins at `start_ms`."""
        manifest = self._find(start_ms)
        if manifest is None:
            raise StoreError(
                f"{self.folder(start_ms)}: expected a sealed window, received none. Run the "
                "pipeline until its cut is sealed; `millstream windows ls` names those there are."
            )
        return manifest

    def folder(self, start_ms: int) -> Path:
        """The folder of a window, sealed or not."""
        return self.root / window_name(start_ms)

    def read_users(
        self,
        start_ms: int,
        spec: Spec | None,
        columns: Sequence[str] | None = None,
        batch_users: int = BATCH_USERS,
        skip_users: int = 0,
    ) -> Generator[pa.RecordBatch, None, None]:
        """The records of a window by shard, then user, from record `skip_users` on.

        Batches have the schema of the spec's record (of the files' own without a spec), or these
        `columns` of it; each but the last holds `batch_users` records. A field that the window
        lacks is null or empty, one that the spec lacks is dropped.
        """
        folder = self.folder(start_ms)
        entries, skip_users = _after(self._entries(start_ms, shard_name), skip_users)
        if not entries:
            return
        head = open_shard(folder, entries[0])
        for datums in regrouped(_datums(folder, entries, head, skip_users), batch_users):
            batch = _as_spec(head, head.batch(datums), spec)
            yield batch if columns is None else batch.select(list(columns))

    def read_user(
        self, start_ms: int, user: int, spec: Spec | None = None
    ) -> pa.RecordBatch | None:
        """The record of one user, by hash, as a batch of one row; None if the window has none.

        Reads the index of the user's shard and one block.
        """
        entry = self._entry_of(start_ms, user, shard_name)
        if entry is None:
            return None
        shard = open_shard(self.folder(start_ms), entry)
        datums = shard.datums_of(shard.index.rows_of(user))
        return _as_spec(shard, shard.batch(datums), spec) if datums else None

    def read_revisions(self, start_ms: int) -> pa.Table:
        """All revisions that a window carries, by shard, then in the order of rule 12."""
        schema = revision_schema()
        batches = []
        for entry in self._entries(start_ms, revisions_name):
            shard = open_shard(self.folder(start_ms), entry)
            for batch in shard.batches(BATCH_USERS):
                batches.append(resolve(batch, schema, str(shard.path)))
        return pa.Table.from_batches(batches, schema=schema)

    def read_user_revisions(self, start_ms: int, user: int) -> pa.Table:
        """The revisions that a window carries of one user, by hash, in the order of rule 12.

        Reads the index of the user's shard and the blocks that hold them.
        """
        schema = revision_schema()
        entry = self._entry_of(start_ms, user, revisions_name)
        if entry is None:
            return schema.empty_table()
        shard = open_shard(self.folder(start_ms), entry)
        datums = shard.datums_of(shard.index.rows_of(user))
        if not datums:
            return schema.empty_table()
        return pa.Table.from_batches([resolve(shard.batch(datums), schema, str(shard.path))])

    def verify(self, start_ms: int) -> list[str]:
        """All that is wrong with a window, a sentence each, from its bytes; empty if all is well.

        Never raises: what `read_users` would raise is told among the problems.
        """
        return verify_window(self.folder(start_ms))

    def _entries(self, start_ms: int, name: Callable[[int], str]) -> list[SealedFile]:
        """The entries of one kind of file, by shard."""
        manifest = self.manifest(start_ms)
        entries = (manifest.entry(name(shard)) for shard in range(manifest.shards))
        return [entry for entry in entries if entry is not None]

    def _entry_of(self, start_ms: int, user: int, name: Callable[[int], str]) -> SealedFile | None:
        """The entry of one kind of file of a user's shard; None if the shard has none."""
        manifest = self.manifest(start_ms)
        number = shard_of(np.array([user], dtype=np.int64), manifest.shards)
        return manifest.entry(name(int(number[0])))

    def _starts(self) -> list[int]:
        try:
            names = [path.name for path in self.root.iterdir() if path.is_dir()]
        except OSError as error:
            raise StoreError(
                f"{self.root}: expected a folder of windows, received: {error.strerror}. Name the "
                "folder that the pipeline writes to, or run the pipeline first."
            ) from error
        starts = (window_start(name) for name in names)
        return sorted(start_ms for start_ms in starts if start_ms is not None)

    def _find(self, start_ms: int) -> Manifest | None:
        if start_ms not in self._manifests:
            manifest = read_manifest(self.folder(start_ms))
            if manifest is None:
                return None
            self._manifests[start_ms] = manifest
        return self._manifests[start_ms]


def _after(entries: list[SealedFile], skip: int) -> tuple[list[SealedFile], int]:
    """The entries from the one that holds record `skip` on, and what to skip in it."""
    while entries and entries[0].records <= skip:
        skip, entries = skip - entries[0].records, entries[1:]
    return entries, skip


def _datums(
    folder: Path, entries: list[SealedFile], head: ShardFile, skip: int
) -> Iterator[list[bytes]]:
    """The datums of all these files, which must have the schema of the first."""
    for entry in entries:
        shard = head if entry is entries[0] else open_shard(folder, entry)
        if shard.header.sync != head.header.sync:
            raise damaged(str(shard.path), f"the schema of {head.path.name}", "another")
        yield from shard.datums(skip)
        skip = 0


def _as_spec(shard: ShardFile, batch: pa.RecordBatch, spec: Spec | None) -> pa.RecordBatch:
    if spec is None:
        return batch
    return resolve(batch, user_window_schema(spec), str(shard.path.parent))
