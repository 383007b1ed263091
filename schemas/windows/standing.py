"""What stands where other bytes were to be written: its index and entry, from its bytes alone."""

from io import BytesIO
from itertools import pairwise
from pathlib import Path

import fastavro
import numpy as np

from schemas.windows.avro import decode
from schemas.windows.container import Block, Header, blocks, damaged, decode_header
from schemas.windows.flat import Int64Array
from schemas.windows.index import BlockIndex


def rebuild_index(path: Path) -> BlockIndex:
    """The index of a file that has none yet: its writer may have crashed, or be at it still.

    Datums carry no lengths, so every record is read through: slow, and hardly ever needed.
    Raises StoreError if the file is damaged.
    """
    data, where = memoryview(path.read_bytes()), str(path)
    header = decode_header(data, where)
    parts, at = [], header.end
    for block in blocks(data, header, where):
        parts.append(_index_of_block(block, at, header, where))
        at = block.end
    names = ("user", "block", "start", "length")
    return BlockIndex(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def _index_of_block(block: Block, at: int, header: Header, where: str) -> BlockIndex:
    offsets = _datum_offsets(block, header)
    if offsets[-1] != len(block.body):
        raise damaged(where, f"{block.datums} records in the block at byte {at}", "others")
    datums = [block.body[first:last] for first, last in pairwise(offsets.tolist())]
    users = decode(datums, header.schema, where).column("user")
    blocks_at = np.full(block.datums, at, dtype=np.int64)
    return BlockIndex(np.asarray(users), blocks_at, offsets[:-1], np.diff(offsets))


def _datum_offsets(block: Block, header: Header) -> Int64Array:
    schema = fastavro.parse_schema(dict(header.schema))
    body, offsets = BytesIO(block.body), [0]
    for _ in range(block.datums):
        fastavro.schemaless_reader(body, schema, None)
        offsets.append(body.tell())
    return np.array(offsets, dtype=np.int64)
