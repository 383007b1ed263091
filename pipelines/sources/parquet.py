"""Parquet files, read by row groups; offsets count row groups, positions count rows."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.dead_letters import DeadLetter
from pipelines.sources.raw import Int64Array, Range, RawRows, Rows, Unread, Wanted

_MAGIC = b"PAR1"
_UNREADABLE = (pa.ArrowException, OSError, UnicodeDecodeError)
"""What pyarrow raises for damaged content; a missing file is found out before."""


class ParquetFile:
    """Format of `.parquet` files, which must be whole when they appear."""

    def ranges(self, unread: Unread) -> list[Range]:
        """Ranges of whole row groups, at most `max_rows` rows unless one group holds more.

        A file without a readable footer is one range, so that reading it says what is wrong.
        """
        file = unread.file
        sizes = _group_sizes(unread.path)
        if sizes is not None:
            return list(_ranges(unread, sizes))
        return [] if unread.start else [Range(file.stream, file.name, 0, max(1, file.size), 1, 0)]

    def read(self, wanted: Wanted) -> RawRows:
        """The named columns of the row groups; a damaged group becomes a dead letter."""
        sizes = _group_sizes(wanted.path)
        return _unreadable(wanted) if sizes is None else _read(wanted, sizes)


def _group_sizes(path: Path) -> list[int] | None:
    """The rows in each row group; None if the file's footer cannot be read."""
    with path.open("rb") as stream:
        try:
            metadata = pq.read_metadata(stream)
            return [metadata.row_group(at).num_rows for at in range(metadata.num_row_groups)]
        except _UNREADABLE:
            return None


def _ranges(unread: Unread, sizes: list[int]) -> Iterator[Range]:
    first = [0, *np.cumsum(sizes).tolist()]
    start, file = unread.start, unread.file
    while start < len(sizes):
        stop = start + 1
        while stop < len(sizes) and first[stop + 1] - first[start] <= unread.max_rows:
            stop += 1
        rows = first[stop] - first[start]
        yield Range(file.stream, file.name, start, stop, rows, first[start])
        start = stop


def _unreadable(wanted: Wanted) -> RawRows:
    data = wanted.path.read_bytes()
    begun = _MAGIC.startswith(data[:4]) and not (len(data) > 4 and data.endswith(_MAGIC))
    letter = DeadLetter(0, "truncated" if begun else "unreadable_file", None, data)
    nothing = Rows(pa.table({}), np.empty(0, np.int64))
    return RawRows(nothing, wanted.range.dead_letters([letter]))


def _read(wanted: Wanted, sizes: list[int]) -> RawRows:
    groups = range(wanted.range.start, min(wanted.range.stop, len(sizes)))
    first = np.cumsum([wanted.range.first_position, *(sizes[group] for group in groups)])
    table = _groups(wanted, groups)
    if table is not None:
        return RawRows(Rows(table, np.arange(first[0], first[-1])))
    return _group_by_group(wanted, groups, first)


def _group_by_group(wanted: Wanted, groups: range, first: Int64Array) -> RawRows:
    """Groups of which some are damaged; `first` holds the number of each group's first row."""
    tables, positions, letters = [], [np.empty(0, np.int64)], []
    for at, group in enumerate(groups):
        part = _groups(wanted, range(group, group + 1))
        if part is None:
            letters.append(DeadLetter(int(first[at]), "unreadable_file", None, b""))
        else:
            tables.append(part)
            positions.append(np.arange(first[at], first[at + 1]))
    merged = pa.concat_tables(tables) if tables else pa.table({})
    return RawRows(Rows(merged, np.concatenate(positions)), wanted.range.dead_letters(letters))


def _paths(schema: pq.ParquetSchema, words: tuple[str, ...]) -> list[str]:
    """The leaves that hold these columns, whatever the file calls the levels of its lists."""
    leaves = [schema.column(at).path for at in range(len(schema))]
    ends = [leaf.split(".") for leaf in leaves]
    named = [".".join(dict.fromkeys((parts[0], parts[-1]))) for parts in ends]
    return [leaf for leaf, name in zip(leaves, named, strict=True) if name in words]


def _groups(wanted: Wanted, groups: range) -> pa.Table | None:
    """The row groups as one table; None if any of them is damaged."""
    with wanted.path.open("rb") as stream:
        try:
            metadata = pq.read_metadata(stream)
            words = _paths(metadata.schema, wanted.words)
            file = pq.ParquetFile(
                stream, metadata=metadata, read_dictionary=words, page_checksum_verification=True
            )
            known = [name for name in wanted.columns if name in file.schema_arrow.names]
            return file.read_row_groups(list(groups), columns=known)
        except _UNREADABLE:
            return None
