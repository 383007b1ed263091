"""Reading one Avro file of a window through its block index."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa

from schemas.durable import sha256_of
from schemas.windows.avro import decode
from schemas.windows.container import Header, damaged, decode_block, decode_header
from schemas.windows.flat import Int64Array
from schemas.windows.index import BlockIndex, decode_index
from schemas.windows.manifest import SealedFile


@dataclass(frozen=True)
class ShardFile:
    """One open file: its head, its index and its size."""

    path: Path
    header: Header
    index: BlockIndex
    size: int

    def batch(self, datums: list[bytes]) -> pa.RecordBatch:
        """Decode datums of this file."""
        return decode(datums, self.header.schema, str(self.path))

    def datums(self, skip: int = 0) -> Iterator[list[bytes]]:
        """All datums but the first `skip`, a list a block; blocks that are skipped are not read."""
        cuts = self.index.block_cuts()
        with _opened(self.path) as file:
            for first, last in pairwise(cuts.tolist()):
                if last > skip:
                    yield self._block(file.fileno(), first, last)[max(skip - first, 0) :]

    def datums_of(self, rows: Int64Array) -> list[bytes]:
        """The datums of a few rows; one read a block."""
        cuts = self.index.block_cuts()
        found = []
        with _opened(self.path) as file:
            for row in rows.tolist():
                block = int(np.searchsorted(cuts, row, side="right")) - 1
                first, last = int(cuts[block]), int(cuts[block + 1])
                found.append(self._block(file.fileno(), first, last)[row - first])
        return found

    def batches(self, records: int) -> Iterator[pa.RecordBatch]:
        """All records, so many at a time."""
        for datums in regrouped(self.datums(), records):
            yield self.batch(datums)

    def _block(self, descriptor: int, first: int, last: int) -> list[bytes]:
        """The datums of rows `first` to `last`, which are one block."""
        at = int(self.index.block[first])
        end = int(self.index.block[last]) if last < len(self.index) else self.size
        where = f"{self.path}, block at byte {at}"
        data = memoryview(os.pread(descriptor, end - at, at))
        block = decode_block(data, 0, self.header.sync, where)
        offsets = np.append(self.index.start[first:last], len(block.body))
        lengths_fit = np.array_equal(np.diff(offsets), self.index.length[first:last])
        if block.datums != last - first or block.end != len(data) or not lengths_fit:
            raise damaged(where, f"the {last - first} records of its index", "other records")
        buffers = [None, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(block.body)]
        datums: list[bytes] = pa.BinaryArray.from_buffers(
            pa.binary(), last - first, buffers
        ).to_pylist()
        return datums


def open_shard(folder: Path, entry: SealedFile) -> ShardFile:
    """Open a file that a manifest names. Raises StoreError if it is missing or damaged.

    Sizes and the index's digest are compared here; blocks prove themselves when they are read.
    """
    path = folder / entry.name
    _expect_size(path, entry.bytes)
    if entry.index is None:
        raise damaged(str(path), "a block index in the manifest", "none")
    index_path = folder / entry.index.name
    _expect_size(index_path, entry.index.bytes)
    if sha256_of(index_path) != entry.index.sha256:
        raise damaged(str(index_path), f"SHA-256 {entry.index.sha256}", sha256_of(index_path))
    index = decode_index(index_path.read_bytes(), str(index_path))
    return open_with_index(path, index)


def open_with_index(path: Path, index: BlockIndex) -> ShardFile:
    """Open a file whose index is known."""
    with _opened(path) as file:
        head = file.read(int(index.block[0]))
    return ShardFile(path, decode_header(memoryview(head), str(path)), index, path.stat().st_size)


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        file = path.open("rb")
    except OSError as error:
        raise damaged(str(path), "a readable file", f"{error.strerror}") from error
    with file:
        yield file


def _expect_size(path: Path, expected: int) -> None:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise damaged(str(path), f"a file of {expected} bytes", f"{error.strerror}") from error
    if size != expected:
        raise damaged(str(path), f"a file of {expected} bytes", f"{size} bytes")


def regrouped(lists: Iterator[list[bytes]], size: int) -> Iterator[list[bytes]]:
    """The same datums in lists of `size`; the last may be shorter."""
    held: list[bytes] = []
    for datums in lists:
        held.extend(datums)
        while len(held) >= size:
            yield held[:size]
            held = held[size:]
    if held:
        yield held
