"""The window sink: records of one shard into the window store, written once."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipelines.reports import Report
from pipelines.steps.attribute.revise import CARRIER
from pipelines.steps.step import Tables
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
    """Writes into the window store at `root`."""

    spec: Spec
    root: Path
    shards: int
    watermark_ms: int | None

    def write(self, shard: int, records: Tables) -> Iterator[tuple[int, FileEntry]]:
        """The files of one shard, as (window start, entry)."""
        if "users" in records:
            for start, users in _by_window(records["users"], "window_start_ms"):
                yield start, write_shard(self._folder(start), shard, users, self.spec)
        if "revisions" in records:
            for start, rows in _by_window(records["revisions"], CARRIER):
                own = rows.drop_columns([CARRIER])
                yield start, write_revisions(self._folder(start), shard, own, self.spec)

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
