"""Records and revisions → Avro files by fastavro; a window's manifest is written last."""

import hashlib
import io
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import fastavro

from benchmarks.per_element.events import Fields
from schemas.record import revision_avro, user_window_avro
from schemas.spec import Spec
from schemas.windows import window_name
from schemas.windows.names import MANIFEST, is_revisions, revisions_name, shard_name

FileKey = tuple[int, str]
"""Window start and file name."""


def file_of_user(record: Fields, shards: int) -> tuple[FileKey, Fields]:
    """A record with the file that it goes to."""
    return (record["window_start_ms"], shard_name(_shard(record, shards))), record


def file_of_revision(revision: tuple[int, Fields], shards: int) -> tuple[FileKey, Fields]:
    """A revision with the file that it goes to."""
    carrier_ms, row = revision
    return (carrier_ms, revisions_name(_shard(row, shards))), row


def _shard(row: Fields, shards: int) -> int:
    return row["user"] % (1 << 64) % shards


class WriteFile(beam.DoFn):
    """The rows of one file → (window start, its entry)."""

    def __init__(self, spec: Spec, root: Path) -> None:
        self.spec, self.root = spec, root

    def setup(self) -> None:
        self.users = fastavro.parse_schema(user_window_avro(self.spec))
        self.revisions = fastavro.parse_schema(revision_avro())

    def process(self, element: tuple[FileKey, Iterable[Fields]]) -> Iterator[tuple[int, Fields]]:
        (start_ms, name), rows = element
        late, file = is_revisions(name), io.BytesIO()
        ordered = sorted(rows, key=_place_of_revision if late else _user_id)
        schema = self.revisions if late else self.users
        fastavro.writer(file, schema, ordered, codec="zstandard")
        path, data = self.root / window_name(start_ms) / name, file.getvalue()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        sha256 = hashlib.sha256(data).hexdigest()
        yield start_ms, {"name": name, "sha256": sha256, "records": len(ordered)}


def _user_id(row: Fields) -> str:
    return row["user_id"]


def _place_of_revision(row: Fields) -> tuple[Any, ...]:
    names = ("user_id", "request_time_ms", "request_id", "item_id", "task")
    return (row["window_start_ms"], *(row[name] for name in names))


def seal(window: tuple[int, Iterable[Fields]], root: Path) -> tuple[str, int]:
    """Write one window's manifest; gives the count of it."""
    start_ms, entries = window
    files = sorted(entries, key=lambda entry: entry["name"])
    manifest = json.dumps({"window_start_ms": start_ms, "files": files}, indent=1)
    (root / window_name(start_ms) / MANIFEST).write_text(manifest)
    return "windows", 1
