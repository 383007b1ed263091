"""Parquet files, read by row groups; offsets count row groups, positions count rows."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.dead_letters import RAW_LIMIT_BYTES, DeadLetter, dead_letter_table
from pipelines.sources.raw import Range, RawRows, Rows, SourceFile

_MAGIC = b"PAR1"
_UNREADABLE = (pa.ArrowException, OSError, UnicodeDecodeError)
"""What pyarrow raises for damaged content; a missing file is found out before."""


class ParquetFile:
    """Format of `.parquet` files, which must be whole when they appear."""

    def ranges(
        self, path: Path, file: SourceFile, start: int, max_rows: int, final: bool
    ) -> list[Range]:
        """Ranges of whole row groups, at most `max_rows` rows unless one group holds more.

        A file without a readable footer is one range, so that reading it says what is wrong.
        """
        if start and start >= file.size:
            return []
        sizes = _group_sizes(path)
        if sizes is None:
            return [] if start else [Range(file.stream, file.name, 0, max(1, file.size), 1, 0)]
        return list(_ranges(file, sizes, start, max_rows))

    def read(self, path: Path, wanted: Range, columns: list[str]) -> RawRows:
        """The named columns of the row groups; a damaged group becomes a dead letter."""
        with path.open("rb") as stream:
            head = stream.read(RAW_LIMIT_BYTES)
        sizes = _group_sizes(path)
        if sizes is None:
            return _unreadable(wanted, head, path)
        groups = list(range(wanted.start, min(wanted.stop, len(sizes))))
        return _read(path, wanted, groups, sizes, columns)


def _group_sizes(path: Path) -> list[int] | None:
    """The rows in each row group; None if the file's footer cannot be read."""
    with path.open("rb") as stream:
        try:
            metadata = pq.read_metadata(stream)
            return [metadata.row_group(at).num_rows for at in range(metadata.num_row_groups)]
        except _UNREADABLE:
            return None


def _ranges(file: SourceFile, sizes: list[int], start: int, max_rows: int) -> Iterator[Range]:
    first = [0, *np.cumsum(sizes).tolist()]
    while start < len(sizes):
        stop = start + 1
        while stop < len(sizes) and first[stop + 1] - first[start] <= max_rows:
            stop += 1
        rows = first[stop] - first[start]
        yield Range(file.stream, file.name, start, stop, rows, first[start])
        start = stop


def _unreadable(wanted: Range, head: bytes, path: Path) -> RawRows:
    begun = head.startswith(_MAGIC) and not path.read_bytes().endswith(_MAGIC)
    reason = "truncated" if begun else "unreadable_file"
    letters = [DeadLetter(0, reason, None, head)]
    nothing = Rows(pa.table({}), np.empty(0, np.int64))
    return RawRows(nothing, dead_letter_table(wanted.stream, wanted.name, letters))


def _read(
    path: Path, wanted: Range, groups: list[int], sizes: list[int], columns: list[str]
) -> RawRows:
    first = np.cumsum([wanted.first_position, *(sizes[group] for group in groups)])
    table = _groups(path, groups, columns)
    if table is not None:
        return RawRows(Rows(table, np.arange(first[0], first[-1])))
    tables, positions, letters = [], [np.empty(0, np.int64)], []
    for at, group in enumerate(groups):
        part = _groups(path, [group], columns)
        if part is None:
            letters.append(DeadLetter(int(first[at]), "unreadable_file", None, b""))
        else:
            tables.append(part)
            positions.append(np.arange(first[at], first[at + 1]))
    merged = pa.concat_tables(tables) if tables else pa.table({})
    dead = dead_letter_table(wanted.stream, wanted.name, letters)
    return RawRows(Rows(merged, np.concatenate(positions)), dead)


def _groups(path: Path, groups: list[int], columns: list[str]) -> pa.Table | None:
    """The row groups as one table; None if any of them is damaged."""
    with path.open("rb") as stream:
        try:
            file = pq.ParquetFile(stream, page_checksum_verification=True)
            known = [name for name in columns if name in file.schema_arrow.names]
            return file.read_row_groups(groups, columns=known)
        except _UNREADABLE:
            return None
