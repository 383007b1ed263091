"""The frame of an Avro container: header, blocks and the sync markers between them.

Avro 1.11 specification, "Object Container Files".
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path

from pipelines.sources.avro_codecs import DECOMPRESS

MAGIC = b"Obj\x01"
_SYNC_BYTES = 16

Bytes = bytes | mmap
"""Content of a file, in memory or mapped."""

Content = tuple[int, bytes]
"""The rows of a block, and what it holds once it is not compressed."""

_LONGEST_VARINT = 10


@dataclass(frozen=True)
class Block:
    """The bytes `[start, stop)` of a container, its rows, and where they begin after two counts.

    With a `fault` they are no block: `truncated`, the file ends early, or `unreadable_file`.
    """

    start: int
    stop: int
    rows: int
    content: int
    fault: str | None = None


@dataclass(frozen=True)
class Container:
    """A container file; its first block begins at `first`, and `sync` ends every block."""

    data: Bytes
    metadata: Mapping[str, bytes]
    sync: bytes
    first: int

    @property
    def schema(self) -> bytes:
        """The schema of the rows, in JSON. Raises KeyError if there is none."""
        return self.metadata["avro.schema"]

    def contents(self, blocks: Iterable[Block]) -> list[Content]:
        """What sound blocks hold.

        Raises whatever the codec raises for damaged content, KeyError for an unknown codec.
        """
        decompress = DECOMPRESS[self.metadata.get("avro.codec", b"null").decode()]
        found = []
        for block in blocks:
            content = decompress(self.data[block.content : block.stop - _SYNC_BYTES])
            if block.rows > len(content):
                raise ValueError("more rows than bytes")
            found.append((block.rows, content))
        return found

    def blocks(self, start: int, stop: int) -> Iterator[Block]:
        """The blocks from byte `start`, where one begins, up to `stop`."""
        while start < stop:
            block = self._block(start) or self._damage(start)
            yield block
            start = block.stop

    def _block(self, start: int) -> Block | None:
        """The block that begins here, if one does."""
        try:
            rows, place = _varint(self.data, start)
            size, place = _varint(self.data, place)
        except ValueError:
            return None
        stop = place + size + _SYNC_BYTES
        sound = rows >= 0 and size >= 0 and self.data[stop - _SYNC_BYTES : stop] == self.sync
        return Block(start, stop, rows, place) if sound else None

    def _damage(self, start: int) -> Block:
        """What lies before the end of the next block, or of the file."""
        found = self.data.find(self.sync, start)
        if found < 0:
            return Block(start, len(self.data), 0, start, "truncated")
        return Block(start, found + _SYNC_BYTES, 0, start, "unreadable_file")


def framed(schema: bytes, contents: Iterable[Content]) -> bytes:
    """A container of rows of this schema, in JSON, in blocks that are not compressed."""
    sync = bytes(_SYNC_BYTES)
    parts = [MAGIC, _encoded(1), _text(b"avro.schema"), _text(schema), _encoded(0), sync]
    for rows, content in contents:
        parts += [_encoded(rows), _text(content), sync]
    return b"".join(parts)


def mapped(path: Path) -> Bytes:
    """The content of a file, of which only what is looked at will be read."""
    with path.open("rb") as file:
        return mmap(file.fileno(), 0, access=ACCESS_READ) if path.stat().st_size else b""


def open_container(data: Bytes) -> Container | None:
    """The container in these bytes; None if they do not begin like one."""
    if data[: len(MAGIC)] != MAGIC:
        return None
    try:
        metadata, end = _metadata(data, len(MAGIC))
    except ValueError:
        return None
    first = end + _SYNC_BYTES
    return Container(data, metadata, data[end:first], first) if first <= len(data) else None


def _metadata(data: Bytes, place: int) -> tuple[dict[str, bytes], int]:
    """The map of metadata and where it ends. Raises ValueError if it does not."""
    metadata: dict[str, bytes] = {}
    while True:
        entries, place = _varint(data, place)
        if entries == 0:
            return metadata, place
        if entries < 0:
            entries = -entries
            _, place = _varint(data, place)
        for _ in range(entries):
            key, place = _sized(data, place)
            metadata[key.decode()], place = _sized(data, place)


def _sized(data: Bytes, place: int) -> tuple[bytes, int]:
    """Bytes that their number precedes, and where they end."""
    size, place = _varint(data, place)
    if not 0 <= size <= len(data) - place:
        raise ValueError("a length that cannot be")
    return data[place : place + size], place + size


def _text(content: bytes) -> bytes:
    return _encoded(len(content)) + content


def _encoded(number: int) -> bytes:
    """A number from 0 on as a zigzag-coded integer."""
    number <<= 1
    encoded = bytearray()
    while number >= 0x80:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])


def _varint(data: Bytes, place: int) -> tuple[int, int]:
    """A zigzag-coded integer and where it ends. Raises ValueError if it does not."""
    value = 0
    for shift, byte in enumerate(data[place : place + _LONGEST_VARINT]):
        value |= (byte & 0x7F) << (7 * shift)
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), place + shift + 1
    raise ValueError("an integer without an end")
