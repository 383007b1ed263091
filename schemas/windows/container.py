"""Avro object container files of datums that are already encoded: deterministic, readable by all.

    file   = header, block …
    header = "Obj" 1, metadata (a map: codec, schema), sync marker
    block  = long: number of datums, long: bytes, one zstd frame, sync marker

The sync marker is the first 16 bytes of the SHA-256 of what stands before it, so that the header
proves itself; a zstd frame carries a checksum of its content. A block ends with the datum that
fills it to `BLOCK_BYTES`: the cuts follow from the datums alone.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from backports import zstd

from schemas.errors import StoreError
from schemas.windows.avro import AvroSchema, schema_text
from schemas.windows.flat import Int64Array

BLOCK_BYTES = 1 << 18
SYNC_BYTES = 16
_MAGIC = b"Obj\x01"


@dataclass(frozen=True)
class Header:
    """What a container's head says, and where its first block begins."""

    schema: AvroSchema
    sync: bytes
    end: int


@dataclass(frozen=True)
class Block:
    """The datums of one block, uncompressed, and where the next block begins."""

    datums: int
    body: bytes
    end: int


def encode_header(schema: AvroSchema) -> bytes:
    """The head of a file of such records; its last 16 bytes are the sync marker."""
    metadata = {"avro.codec": b"zstandard", "avro.schema": schema_text(schema).encode()}
    entries = b"".join(_bytes(key.encode()) + _bytes(value) for key, value in metadata.items())
    head = _MAGIC + _long(len(metadata)) + entries + _long(0)
    return head + hashlib.sha256(head).digest()[:SYNC_BYTES]


def block_cuts(offsets: Int64Array) -> list[int]:
    """The datum at which each block begins, and the number of datums."""
    cuts = [0]
    while cuts[-1] < len(offsets) - 1:
        full = offsets[cuts[-1]] + BLOCK_BYTES
        cuts.append(min(int(np.searchsorted(offsets, full)), len(offsets) - 1))
    return cuts


def compressor() -> Callable[[pa.Buffer], bytes]:
    """What turns a block's bytes into one zstd frame: level 1, with a checksum."""
    parameter = zstd.CompressionParameter
    options: dict[int, int] = {parameter.compression_level: 1, parameter.checksum_flag: 1}
    frames = zstd.ZstdCompressor(options=options)
    return lambda body: frames.compress(memoryview(body), zstd.ZstdCompressor.FLUSH_FRAME)


def encode_block(datums: int, frame: bytes, sync: bytes) -> bytes:
    """One block as it stands in the file."""
    return _long(datums) + _bytes(frame) + sync


def decode_header(data: memoryview, where: str) -> Header:
    """Read and prove the head of a file. Raises StoreError if it is not one of ours."""
    try:
        metadata, end = _metadata(data)
        schema = json.loads(metadata["avro.schema"])
    except (IndexError, KeyError, ValueError) as error:
        raise damaged(where, "an Avro header", f"none ({error!r})") from error
    sync = bytes(data[end : end + SYNC_BYTES])
    if metadata.get("avro.codec") != b"zstandard":
        raise damaged(where, "codec zstandard", repr(metadata.get("avro.codec")))
    if hashlib.sha256(data[:end]).digest()[:SYNC_BYTES] != sync:
        raise damaged(where, "a header that its sync marker proves", "another marker")
    return Header(schema, sync, end + SYNC_BYTES)


def decode_block(data: memoryview, at: int, sync: bytes, where: str) -> Block:
    """Read the block that begins at byte `at`. Raises StoreError if it is damaged."""
    try:
        datums, start = _read_long(data, at)
        size, start = _read_long(data, start)
        body = zstd.decompress(data[start : start + size])
    except (IndexError, ValueError, zstd.ZstdError) as error:
        raise damaged(f"{where}, byte {at}", "a whole block", f"{error}") from error
    end = start + size + SYNC_BYTES
    if bytes(data[start + size : end]) != sync:
        raise damaged(f"{where}, byte {at}", "the sync marker after the block", "other bytes")
    return Block(datums, body, end)


def blocks(data: memoryview, header: Header, where: str) -> Iterator[Block]:
    """All blocks of a file, in order."""
    at = header.end
    while at < len(data):
        block = decode_block(data, at, header.sync, where)
        yield block
        at = block.end


def damaged(where: str, expected: str, received: str) -> StoreError:
    """The error for bytes that are not what was written."""
    return StoreError(
        f"{where}: expected {expected}, received {received}. The file is damaged: restore it from "
        "a copy, or remove its window's folder and build the window again from its events."
    )


def _metadata(data: memoryview) -> tuple[dict[str, bytes], int]:
    if bytes(data[:4]) != _MAGIC:
        raise ValueError(f"begins with {bytes(data[:4])!r}")
    entries, at = _read_long(data, 4)
    metadata = {}
    for _ in range(entries):
        key, at = _read_bytes(data, at)
        value, at = _read_bytes(data, at)
        metadata[key.decode()] = value
    return metadata, at + 1


def _bytes(value: bytes) -> bytes:
    return _long(len(value)) + value


def _long(value: int) -> bytes:
    """Avro's zigzag varint of a number that is not negative."""
    left, out = value << 1, bytearray()
    while left > 0x7F:
        out.append(left & 0x7F | 0x80)
        left >>= 7
    return bytes([*out, left])


def _read_bytes(data: memoryview, at: int) -> tuple[bytes, int]:
    size, at = _read_long(data, at)
    value = bytes(data[at : at + size])
    if len(value) != size:
        raise IndexError("the file ends early")
    return value, at + size


def _read_long(data: memoryview, at: int) -> tuple[int, int]:
    """A number that is not negative, and where the next byte is."""
    value = shift = 0
    while data[at] & 0x80:
        value |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if shift > 63:
            raise ValueError("a number without end")
    value |= data[at] << shift
    if value & 1:
        raise ValueError("a negative length")
    return value >> 1, at + 1
