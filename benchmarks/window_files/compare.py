"""What is in the files of windows, to compare programs that write them."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fastavro

from benchmarks.speed_world.spec import speed_spec
from schemas.windows import WindowStore
from schemas.windows.container import blocks, decode_header


def all_rows(windows: Path) -> Iterator[tuple[str, Any]]:
    """Every row of every Avro file as fastavro reads it, with the kind of file and its window."""
    for path in sorted(windows.glob("*Z/*.avro")):
        with path.open("rb") as file:
            for row in fastavro.reader(file):
                yield f"{path.parent.name}/{path.name}", row


def stored_rows(windows: Path) -> Iterator[tuple[str, Any]]:
    """The same rows through the window store."""
    store, spec = WindowStore(windows), speed_spec()
    for manifest in store.windows():
        start_ms = manifest.window_start_ms
        folder = store.folder(start_ms)
        batches = store.read_users(start_ms, spec)
        users = (row for batch in batches for row in batch.to_pylist())
        revisions = iter(store.read_revisions(start_ms).to_pylist())
        for path in sorted(folder.glob("*.avro")):
            rows = users if path.name.startswith("shard") else revisions
            with path.open("rb") as file:
                held = sum(block.num_records for block in fastavro.block_reader(file))
            for _ in range(held):
                yield f"{folder.name}/{path.name}", next(rows)


def digests_of(windows: Path) -> dict[str, str]:
    """The digest of each file's records, whatever the frames that hold them."""
    digests = {}
    for path in sorted(windows.glob("*Z/*.avro")):
        data, digest = memoryview(path.read_bytes()), hashlib.sha256()
        for block in blocks(data, decode_header(data, str(path)), str(path)):
            digest.update(block.body)
        digests[f"{path.parent.name}/{path.name}"] = digest.hexdigest()
    return digests
