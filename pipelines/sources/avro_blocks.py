"""The frame of an Avro container: header, blocks and the sync markers between them.

Avro 1.11 specification, "Object Container Files".
"""

from collections.abc import Iterator
from dataclasses import dataclass

_MAGIC = b"Obj\x01"
_SYNC_BYTES = 16
_LONGEST_VARINT = 10


@dataclass(frozen=True)
class Block:
    """The bytes `[start, stop)` of a container and the rows in them.

    With a `fault` they are no block: `truncated`, the file ends early, or `unreadable_file`.
    """

    start: int
    stop: int
    rows: int
    fault: str | None = None


@dataclass(frozen=True)
class Container:
    """A container file and its header, up to and with the first sync marker."""

    data: bytes
    header: bytes

    @property
    def sync(self) -> bytes:
        """The 16 bytes that end the header and every block."""
        return self.header[-_SYNC_BYTES:]

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
        return Block(start, stop, rows) if sound else None

    def _damage(self, start: int) -> Block:
        """What lies before the end of the next block, or of the file."""
        found = self.data.find(self.sync, start)
        if found < 0:
            return Block(start, len(self.data), 0, "truncated")
        return Block(start, found + _SYNC_BYTES, 0, "unreadable_file")


def open_container(data: bytes) -> Container | None:
    """The container in these bytes; None if they do not begin like one."""
    if not data.startswith(_MAGIC):
        return None
    try:
        end = _metadata_end(data, len(_MAGIC)) + _SYNC_BYTES
    except ValueError:
        return None
    return Container(data, data[:end]) if end <= len(data) else None


def _metadata_end(data: bytes, place: int) -> int:
    """Where the map of metadata ends. Raises ValueError if it does not."""
    while True:
        entries, place = _varint(data, place)
        if entries == 0:
            return place
        if entries < 0:
            entries = -entries
            _, place = _varint(data, place)
        for _ in range(2 * entries):
            size, place = _varint(data, place)
            if size < 0:
                raise ValueError("a negative length")
            place += size


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """A zigzag-coded integer and where it ends. Raises ValueError if it does not."""
    value = 0
    for shift, byte in enumerate(data[place : place + _LONGEST_VARINT]):
        value |= (byte & 0x7F) << (7 * shift)
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), place + shift + 1
    raise ValueError("an integer without an end")
