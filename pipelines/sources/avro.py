"""Avro container files, read by blocks; offsets are bytes, positions count rows.

A block that cannot be read costs only itself: reading goes on after the next sync marker.
"""

from collections.abc import Iterator
from itertools import accumulate

import numpy as np
import pyarrow as pa

from pipelines.dead_letters import DeadLetter
from pipelines.sources.avro_blocks import MAGIC, Block, Container, mapped, open_container
from pipelines.sources.avro_decode import Columns, decode
from pipelines.sources.raw import Range, RawRows, Rows, Unread, Wanted


class AvroFile:
    """Format of `.avro` files, which must be whole when they appear."""

    def ranges(self, unread: Unread) -> list[Range]:
        """Ranges of whole blocks, at most `max_rows` rows unless one block holds more.

        A file without a readable header is one range, so that reading it says what is wrong.
        """
        file = unread.file
        if unread.start >= max(1, file.size):
            return []
        container = open_container(mapped(unread.path))
        if container is None:
            return [Range(file.stream, file.name, 0, max(1, file.size), 1, 0)]
        return list(_ranges(unread, container))

    def read(self, wanted: Wanted) -> RawRows:
        """The rows of the range's blocks; damaged stretches become dead letters."""
        data = mapped(wanted.path)
        container = open_container(data)
        if container is None:
            reason = "truncated" if MAGIC.startswith(data[:4]) else "unreadable_file"
            return _merged(wanted.range, [], [DeadLetter(0, reason, None, data[:])])
        blocks = list(container.blocks(wanted.range.start, wanted.range.stop))
        read = read_blocks(container, blocks, wanted.columns, wanted.range.first_position)
        return _merged(wanted.range, *read)


def _ranges(unread: Unread, container: Container) -> Iterator[Range]:
    """All blocks are looked at, for rows are numbered from the beginning of the file."""
    blocks = list(container.blocks(container.first, len(container.data)))
    file = unread.file
    first = [0, *accumulate(block.rows for block in blocks)]
    at = next((at for at, block in enumerate(blocks) if block.start >= unread.start), len(blocks))
    while at < len(blocks):
        end = at + 1
        while end < len(blocks) and first[end + 1] - first[at] <= unread.max_rows:
            end += 1
        rows = first[end] - first[at]
        begin, stop = blocks[at].start, blocks[end - 1].stop
        yield Range(file.stream, file.name, begin, stop, rows, first[at])
        at = end


def read_blocks(
    container: Container, blocks: list[Block], columns: Columns, first_row: int = 0
) -> tuple[list[Rows], list[DeadLetter]]:
    """Rows whose positions count from `first_row`, and a dead letter for each damaged block."""
    first = list(accumulate((block.rows for block in blocks), initial=first_row))
    good = [block for block in blocks if block.fault is None]
    table = _decode(container, good, columns) if len(good) == len(blocks) else None
    if table is not None:
        return [Rows(table, np.arange(first[0], first[-1]))], []
    parts, letters = [], []
    for block, row in zip(blocks, first, strict=False):
        part = _decode(container, [block], columns) if block.fault is None else None
        if part is None:
            raw = container.data[block.start : block.stop]
            letters.append(DeadLetter(row, block.fault or "unreadable_file", None, raw))
        else:
            parts.append(Rows(part, np.arange(row, row + block.rows)))
    return parts, letters


def _decode(container: Container, blocks: list[Block], columns: Columns) -> pa.Table | None:
    """The rows of sound blocks; None if they do not hold what they should."""
    if not blocks:
        return pa.table({})
    try:
        schema, contents = container.schema, container.contents(blocks)
    except Exception:  # noqa: BLE001  each codec has its own
        return None
    return decode(schema, contents, columns)


def _merged(wanted: Range, parts: list[Rows], letters: list[DeadLetter]) -> RawRows:
    tables = [part.table for part in parts]
    positions = [np.empty(0, np.int64), *(part.positions for part in parts)]
    table = pa.concat_tables(tables) if tables else pa.table({})
    return RawRows(Rows(table, np.concatenate(positions)), wanted.dead_letters(letters))
