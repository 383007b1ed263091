"""Messages that are Avro containers of many events.

Messages of one schema are decoded as one container, for to begin costs more than a few hundred
rows do. A damaged block costs only itself all the same.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipelines.dead_letters import DeadLetter
from pipelines.sources.avro import read_blocks
from pipelines.sources.avro_blocks import Block, Container, Content, open_container
from pipelines.sources.avro_decode import Columns, decode
from pipelines.sources.raw import Rows

TOGETHER_BYTES = 16 * 1024 * 1024
"""So much is decoded at once, or one message."""


@dataclass(frozen=True)
class _Pack:
    """A message at an offset, and what its blocks hold; nothing if any of it is damaged."""

    offset: int
    container: Container
    blocks: list[Block]
    contents: list[Content] | None

    @property
    def rows(self) -> int:
        return sum(block.rows for block in self.blocks)


@dataclass
class Packs:
    """Reads packs, and keeps rows of equal types together, and dead letters."""

    columns: Columns
    letters: list[DeadLetter]
    _parts: dict[pa.Schema, list[Rows]]

    @classmethod
    def read(cls, messages: Iterable[tuple[int, bytes]], columns: Columns) -> "Packs":
        """Read messages, each with its offset, which is the position of all its rows."""
        packs = cls(columns, [], defaultdict(list))
        for schema, same in _batches(packs._opened(messages)):
            packs._together(schema, same)
        return packs

    def rows(self) -> list[Rows]:
        """One for each set of types."""
        return [_joined(parts) for parts in self._parts.values()]

    def _opened(self, messages: Iterable[tuple[int, bytes]]) -> Iterator[_Pack]:
        """What can be decoded with others; the rest is taken in alone."""
        for offset, value in messages:
            container = open_container(value)
            if container is None:
                self.letters.append(DeadLetter(offset, "bad_avro", None, value))
                continue
            blocks = list(container.blocks(container.first, len(value)))
            pack = _Pack(offset, container, blocks, _contents(container, blocks))
            if pack.contents is None or not pack.rows:
                self._alone(pack)
            else:
                yield pack

    def _together(self, schema: bytes, packs: list[_Pack]) -> None:
        """All at once; what cannot be read so, by halves."""
        contents = [content for pack in packs for content in pack.contents or ()]
        table = decode(schema, contents, self.columns)
        if table is not None:
            offsets = np.repeat([pack.offset for pack in packs], [pack.rows for pack in packs])
            self._parts[table.schema].append(Rows(table, offsets))
        elif len(packs) == 1:
            self._alone(packs[0])
        else:
            half = len(packs) // 2
            self._together(schema, packs[:half])
            self._together(schema, packs[half:])

    def _alone(self, pack: _Pack) -> None:
        rows, damaged = read_blocks(pack.container, pack.blocks, self.columns)
        self.letters += [DeadLetter(pack.offset, "bad_avro", None, one.raw) for one in damaged]
        if not damaged and not pack.rows:
            raw = bytes(pack.container.data)
            self.letters.append(DeadLetter(pack.offset, "empty_message", None, raw))
        for one in rows:
            offsets = np.full(len(one.positions), pack.offset)
            self._parts[one.table.schema].append(Rows(one.table, offsets))


def _batches(packs: Iterable[_Pack]) -> Iterator[tuple[bytes, list[_Pack]]]:
    """Packs by schema, so many that they are not too large together."""
    held: dict[bytes, list[_Pack]] = defaultdict(list)
    size = 0
    for pack in packs:
        held[pack.container.schema].append(pack)
        size += sum(len(content) for _, content in pack.contents or ())
        if size >= TOGETHER_BYTES:
            yield from held.items()
            held, size = defaultdict(list), 0
    yield from held.items()


def _contents(container: Container, blocks: list[Block]) -> list[Content] | None:
    if any(block.fault is not None for block in blocks):
        return None
    try:
        return container.contents(blocks) if container.schema else None
    except Exception:  # noqa: BLE001  each codec has its own
        return None


def _joined(parts: list[Rows]) -> Rows:
    positions = np.concatenate([part.positions for part in parts])
    return Rows(pa.concat_tables([part.table for part in parts]), positions)
