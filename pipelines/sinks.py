"""The window sink: records into the files of their shards in the window store, written once."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipelines.arrays import Ints
from pipelines.reports import Report
from pipelines.steps.attribute.revise import CARRIER
from pipelines.steps.step import Tables
from schemas.hashing import shard_of
from schemas.spec import Spec
from schemas.windows import (
    BuildInfo,
    FileEntry,
    Manifest,
    seal,
    window_name,
    write_revisions,
    write_shard,
)


@dataclass(frozen=True)
class WindowSink:
    """Writes into the window store at `root`, each window in files of so many shards of users."""

    spec: Spec
    root: Path
    shards: int
    watermark_ms: int | None

    def write(self, records: Tables) -> Iterator[tuple[int, FileEntry]]:
        """The files of all users of one or more whole shards, as (window start, entry)."""
        for start, work in self.files(records):
            yield start, work()

    def files(self, records: Tables) -> Iterator[tuple[int, Callable[[], FileEntry]]]:
        """The same, as (window start, what writes the file)."""
        for name, key, write in (
            ("users", "window_start_ms", self._write_users),
            ("revisions", CARRIER, self._write_revisions),
        ):
            for start, table in _by_window(records[name], key) if name in records else ():
                shard = shard_of(table["user"].to_numpy(), self.shards)
                for one in np.unique(shard):
                    rows = np.flatnonzero(shard == one)
                    yield start, partial(write, start, int(one), table, rows)

    def _write_users(self, start_ms: int, shard: int, users: pa.Table, rows: Ints) -> FileEntry:
        return write_shard(self._folder(start_ms), shard, _taken(users, rows), self.spec)

    def _write_revisions(self, start_ms: int, shard: int, table: pa.Table, rows: Ints) -> FileEntry:
        revisions = _taken(table.drop_columns([CARRIER]), rows)
        return write_revisions(self._folder(start_ms), shard, revisions, self.spec)

    def seal(self, start_ms: int, entries: Iterable[FileEntry]) -> Report:
        """Write the manifest of one window, from the entries of all its files."""
        entries = list(entries)
        now_ms = time.time_ns() // 1_000_000
        build = BuildInfo(f"millstream {version('millstream')}", self.watermark_ms, now_ms, now_ms)
        cut_ms = self.spec.window.cut(start_ms)
        manifest = seal(self.root, start_ms, cut_ms, self.spec, entries, build, shards=self.shards)
        divergent = manifest.divergent or any(entry.divergent for entry in entries)
        counts = Counter({"windows": 1, "divergent": int(divergent)})
        counts.update({"revisions": manifest.counts.revisions, **_labels(manifest)})
        return Report(counts=+counts, sealed=(window_name(start_ms),))

    def _folder(self, start_ms: int) -> Path:
        return self.root / window_name(start_ms)


def _taken(table: pa.Table, rows: Ints) -> pa.Table:
    """These rows, which ascend; without a copy if they are all."""
    return table if len(rows) == len(table) else table.take(pa.array(rows))


def _labels(manifest: Manifest) -> dict[str, int]:
    """How many labels the window shows, by task and tier."""
    return {
        f"label/{task}/{tier}": number
        for task, tiers in manifest.counts.labels.items()
        for tier, number in tiers.items()
    }


def _by_window(rows: pa.Table, key: str) -> Iterator[tuple[int, pa.Table]]:
    """Slices of rows that stand in order of their window."""
    starts = rows[key].to_numpy()
    windows, first = np.unique(starts, return_index=True)
    bounds = np.append(first, len(starts))
    for index, start in enumerate(windows):
        yield int(start), rows.slice(bounds[index], bounds[index + 1] - bounds[index])
