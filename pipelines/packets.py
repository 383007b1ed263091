"""Named Arrow tables as one run of bytes: what travels between stages and rests as state.

Layout: length of the header (8 bytes, little endian), the header (JSON: name and size of each
part), then the parts as Arrow IPC streams, everything aligned to 64 bytes so that reading is
without a copy, from memory or from a mapped file.
"""

import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import BinaryIO, Protocol

import pyarrow as pa

from schemas.durable import aside

_ALIGNMENT = 64


class Carrier(Protocol):
    """How packets travel between stages; `encode` and `decode` make one that crosses machines."""

    def pack(self, tables: Mapping[str, pa.Table]) -> bytes:
        """The tables, or where they are to be had."""

    def unpack(self, data: bytes) -> dict[str, pa.Table]:
        """What `pack` was given; asked for once at most."""


def encode(tables: Mapping[str, pa.Table]) -> bytes:
    """The tables as bytes; rows of a slice only, whatever buffers they share."""
    sink = io.BytesIO()
    _put(tables, sink)
    return sink.getvalue()


def write(path: Path, tables: Mapping[str, pa.Table]) -> None:
    """Put the same into a file, straight from the tables; see `durable.aside`."""
    with aside(path) as file:
        _put(tables, file)


def _put(tables: Mapping[str, pa.Table], file: BinaryIO) -> None:
    sizes = {name: _size(table) for name, table in tables.items()}
    header = json.dumps(list(sizes.items())).encode()
    file.write(_padded(len(header).to_bytes(8, "little") + header))
    for name, table in tables.items():
        _stream(table, pa.PythonFile(file, "w"))
        file.write(_padding(sizes[name]))


def decode(data: bytes | pa.Buffer) -> dict[str, pa.Table]:
    """The tables, as views into the bytes."""
    buffer = data if isinstance(data, pa.Buffer) else pa.py_buffer(data)
    size = int.from_bytes(buffer[:8], "little")
    at = _aligned(8 + size)
    tables = {}
    for name, length in json.loads(buffer[8 : 8 + size].to_pybytes()):
        tables[name] = pa.ipc.open_stream(buffer.slice(at, length)).read_all()
        at += _aligned(length)
    return tables


def read(path: Path) -> dict[str, pa.Table]:
    """The tables of a file, mapped: what nobody looks at is not read."""
    with pa.memory_map(str(path)) as file:
        return decode(file.read_buffer())


def _size(table: pa.Table) -> int:
    sink = pa.MockOutputStream()
    _stream(table, sink)
    size: int = sink.size()
    return size


def _stream(table: pa.Table, sink: pa.NativeFile) -> None:
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)


def _padded(data: bytes) -> bytes:
    return data + _padding(len(data))


def _padding(size: int) -> bytes:
    return b"\0" * (_aligned(size) - size)


def _aligned(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def merge(packets: Iterable[Mapping[str, pa.Table]]) -> dict[str, pa.Table]:
    """Tables of the same name one after another."""
    named: dict[str, list[pa.Table]] = {}
    for tables in packets:
        for name, table in tables.items():
            named.setdefault(name, []).append(table)
    return {name: pa.concat_tables(parts) for name, parts in named.items()}
