"""The window store: sealed windows of user records, written once, digested, read columnar."""

from schemas.windows.counts import Counts
from schemas.windows.flat import Lists, Values
from schemas.windows.manifest import BuildInfo, FileDigest, FileEntry, Manifest
from schemas.windows.names import window_name, window_start
from schemas.windows.packed import (
    PackedLabels,
    PackedRequests,
    PackedSamples,
    PackedSequence,
    PackedUsers,
    pack,
)
from schemas.windows.seal import seal
from schemas.windows.store import WindowStore
from schemas.windows.write import write_revisions, write_shard

__all__ = [
    "BuildInfo",
    "Counts",
    "FileDigest",
    "FileEntry",
    "Lists",
    "Manifest",
    "PackedLabels",
    "PackedRequests",
    "PackedSamples",
    "PackedSequence",
    "PackedUsers",
    "Values",
    "WindowStore",
    "pack",
    "seal",
    "window_name",
    "window_start",
    "write_revisions",
    "write_shard",
]
