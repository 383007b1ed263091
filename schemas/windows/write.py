"""Writing one shard of one window: user records or revisions, once, the same bytes every time."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa

from schemas.durable import sha256_of
from schemas.record import (
    revision_avro,
    revision_schema,
    user_window_avro,
    user_window_schema,
)
from schemas.spec import Spec
from schemas.windows.avro import AvroSchema, encode
from schemas.windows.checks import as_declared, refuse_disorder, refuse_unknown
from schemas.windows.container import (
    SYNC_BYTES,
    block_cuts,
    compressor,
    encode_block,
    encode_header,
)
from schemas.windows.counts import Counts, count_revisions, count_users, total
from schemas.windows.flat import Int64Array, numbers
from schemas.windows.index import BlockIndex, encode_index
from schemas.windows.manifest import FileDigest, FileEntry
from schemas.windows.names import index_name, revisions_name, shard_name
from schemas.windows.publish import Draft, draft
from schemas.windows.shard import open_with_index
from schemas.windows.standing import rebuild_index

SLICE_RECORDS = 4096
"""Records are encoded so many at a time; a block never reaches over two slices."""

Count = Callable[[pa.RecordBatch], Counts]


def write_shard(
    folder: Path, shard: int, users: pa.RecordBatch | pa.Table, spec: Spec
) -> FileEntry:
    """Write one shard's `UserWindow` records, sorted by user id, and their block index.

    Without a record nothing is written and the entry's `records` is 0. If the file is there
    already, the first stands; other bytes than these are told by the entry's `divergent`.
    Raises StoreError for records that are not of the spec's schema, or if it cannot write.
    """
    path = folder / shard_name(shard)
    table = as_declared(users, user_window_schema(spec), str(path))
    refuse_disorder(table.column("user_id"), str(path))
    return _write(path, table, user_window_avro(spec), count_users)


def write_revisions(
    folder: Path, shard: int, revisions: pa.RecordBatch | pa.Table, spec: Spec
) -> FileEntry:
    """Write one shard's revisions, in the order of rule 12; all else as `write_shard`."""
    path = folder / revisions_name(shard)
    table = as_declared(revisions, revision_schema(), str(path))
    refuse_unknown(table.column("task"), spec.tasks, str(path))
    return _write(path, table, revision_avro(), count_revisions)


def _write(path: Path, table: pa.Table, schema: AvroSchema, count: Count) -> FileEntry:
    if table.num_rows == 0:
        return FileEntry(path.name, 0, "", 0, None, Counts())
    with draft(path) as file:
        index, counts = _write_container(file, table, schema, count)
        if not file.publish_once():
            return _standing_entry(path, count)
    digest = _write_index(path.with_name(index_name(path.name)), index)
    return FileEntry(path.name, file.size, file.sha256, len(index), digest, counts)


def _write_index(path: Path, index: BlockIndex) -> FileDigest:
    """The index follows from the file that stands, so another one there is a wreck."""
    with draft(path) as file:
        file.write(encode_index(index))
        if not file.publish_once():
            file.replace()
    return FileDigest(path.name, file.size, file.sha256)


def _standing_entry(path: Path, count: Count) -> FileEntry:
    """The entry of the file that was there first."""
    shard = open_with_index(path, rebuild_index(path))
    return FileEntry(
        name=path.name,
        bytes=shard.size,
        sha256=sha256_of(path),
        records=len(shard.index),
        index=_write_index(path.with_name(index_name(path.name)), shard.index),
        counts=total(count(batch) for batch in shard.batches(SLICE_RECORDS)),
        divergent=True,
    )


def _write_container(
    file: Draft, table: pa.Table, schema: AvroSchema, count: Count
) -> tuple[BlockIndex, Counts]:
    header = encode_header(schema)
    file.write(header)
    places, counts = _Places(), []
    compress, sync = compressor(), header[-SYNC_BYTES:]
    for batch in _slices(table):
        body, offsets = encode(batch, schema)
        cuts = block_cuts(offsets)
        for first, last in pairwise(cuts):
            places.add(file.size, offsets[first : last + 1])
            frame = compress(body[int(offsets[first]) : int(offsets[last])])
            file.write(encode_block(last - first, frame, sync))
        counts.append(count(batch))
    return places.index(table.column("user")), total(counts)


def _slices(table: pa.Table) -> Iterator[pa.RecordBatch]:
    """Batches cut by row number alone, however the table is chunked."""
    for first in range(0, table.num_rows, SLICE_RECORDS):
        yield table.slice(first, SLICE_RECORDS).combine_chunks().to_batches()[0]


@dataclass
class _Places:
    """Where the datums of a file lie, block by block."""

    block: list[Int64Array] = field(default_factory=list)
    start: list[Int64Array] = field(default_factory=list)
    length: list[Int64Array] = field(default_factory=list)

    def add(self, at: int, offsets: Int64Array) -> None:
        """A block that begins at byte `at`, its datums cut by `offsets`."""
        self.block.append(np.full(len(offsets) - 1, at, dtype=np.int64))
        self.start.append(offsets[:-1] - offsets[0])
        self.length.append(np.diff(offsets))

    def index(self, users: pa.ChunkedArray) -> BlockIndex:
        """The index of the whole file."""
        columns = (np.concatenate(part) for part in (self.block, self.start, self.length))
        return BlockIndex(numbers(users.combine_chunks()), *columns)
