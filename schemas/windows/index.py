"""The block index beside an Avro file: where each record's datum lies.

One row a record, in the file's order, as an Arrow IPC file: the user's hash, the byte at which
the block begins, and where in the uncompressed block the datum begins and how long it is.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from schemas.windows.container import damaged
from schemas.windows.flat import Int64Array

_SCHEMA = pa.schema(
    [pa.field(name, pa.int64(), nullable=False) for name in ("user", "block", "start", "length")]
)


@dataclass(frozen=True)
class BlockIndex:
    """Four equally long columns, shape [records]."""

    user: Int64Array
    block: Int64Array
    start: Int64Array
    length: Int64Array

    def __len__(self) -> int:
        return len(self.user)

    def rows_of(self, user: int) -> Int64Array:
        """The rows of one user: none, or one (more if hashes collide)."""
        return np.flatnonzero(self.user == user)

    def block_cuts(self) -> Int64Array:
        """The row at which each block begins, and the number of rows."""
        begins = np.flatnonzero(np.diff(self.block, prepend=-1))
        return np.append(begins, len(self))


def encode_index(index: BlockIndex) -> bytes:
    """The index as the bytes of an Arrow IPC file."""
    columns = [pa.array(column) for column in (index.user, index.block, index.start, index.length)]
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, _SCHEMA) as file:
        file.write_batch(pa.RecordBatch.from_arrays(columns, schema=_SCHEMA))
    return bytes(sink.getvalue())


def decode_index(data: bytes, where: str) -> BlockIndex:
    """Read an index. Raises StoreError if it is not one."""
    try:
        table = pa.ipc.open_file(pa.py_buffer(data)).read_all()
        columns = [table.column(name).to_numpy() for name in _SCHEMA.names]
    except (pa.ArrowException, KeyError) as error:
        raise damaged(where, "a block index", f"{error}") from error
    return BlockIndex(*columns)
