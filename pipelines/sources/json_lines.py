"""JSON Lines files, plain and growing, or gzipped and whole.

A plain file's ranges end after a newline. What follows the last newline is still being written,
unless the file is final.
"""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from pipelines.dead_letters import DeadLetter
from pipelines.sources.raw import JsonLines, Range, RawRows, Unread, Wanted
from schemas.errors import UserError

_CHUNK_BYTES = 64 * 1024
_GZIP_LINE_BYTES = 100
"""A guess at what a line takes once compressed; only estimates rest on it."""


class JsonLinesFile:
    """Format of `.jsonl` and `.ndjson` files; offsets are bytes."""

    def ranges(self, unread: Unread) -> list[Range]:
        """Ranges of about `max_rows` lines each. Raises UserError if the file has shrunk."""
        size = unread.path.stat().st_size
        if size < unread.start:
            raise UserError(
                f"{unread.path}: expected a file that only grows, received {size:,} bytes where "
                f"{unread.start:,} were read before; put new events into a new file"
            )
        with unread.path.open("rb") as stream:
            stop = size if unread.final else _last_line_end(stream, unread.start, size)
            return list(_ranges(stream, unread, stop))

    def read(self, wanted: Wanted) -> RawRows:
        """The lines of a range, as they are."""
        start, stop = wanted.range.start, wanted.range.stop
        with wanted.path.open("rb") as stream:
            stream.seek(start)
            data = stream.read(stop - start)
        content = JsonLines(data, start)
        if len(data) == stop - start:
            return RawRows(content)
        lost = DeadLetter(start + len(data), "truncated", None, b"")
        return RawRows(content, wanted.range.dead_letters([lost]))


def _ranges(stream: BinaryIO, unread: Unread, stop: int) -> Iterator[Range]:
    start, file = unread.start, unread.file
    line_bytes = _line_bytes(stream, start)
    while start < stop:
        wanted = start + max(1, int(unread.max_rows * line_bytes))
        end = stop if wanted >= stop else _next_line_end(stream, wanted - 1, stop)
        rows = max(1, round((end - start) / line_bytes))
        yield Range(file.stream, file.name, start, end, rows, start)
        start = end


def _line_bytes(stream: BinaryIO, start: int) -> float:
    """The mean length of the lines that begin near `start`."""
    stream.seek(start)
    sample = stream.read(_CHUNK_BYTES)
    return len(sample) / max(1, sample.count(b"\n"))


def _next_line_end(stream: BinaryIO, place: int, stop: int) -> int:
    """The end of the line that holds byte `place`."""
    while place < stop:
        stream.seek(place)
        found = stream.read(min(_CHUNK_BYTES, stop - place)).find(b"\n")
        if found >= 0:
            return place + found + 1
        place += _CHUNK_BYTES
    return stop


def _last_line_end(stream: BinaryIO, start: int, stop: int) -> int:
    """The end of the last complete line in `[start, stop)`; `start` if there is none."""
    while stop > start:
        begin = max(start, stop - _CHUNK_BYTES)
        stream.seek(begin)
        found = stream.read(stop - begin).rfind(b"\n")
        if found >= 0:
            return begin + found + 1
        stop = begin
    return start


class GzipLinesFile:
    """Format of `.jsonl.gz` and `.ndjson.gz` files: one range; positions count unzipped bytes."""

    def ranges(self, unread: Unread) -> list[Range]:
        """The whole file, unless it was read."""
        if unread.start:
            return []
        file, size = unread.file, unread.path.stat().st_size
        rows = max(1, size // _GZIP_LINE_BYTES)
        return [Range(file.stream, file.name, 0, max(1, size), rows, 0)]

    def read(self, wanted: Wanted) -> RawRows:
        """All lines; of a damaged file, the complete ones before the damage."""
        data, fault = _unzip(wanted.path)
        if fault is None:
            return RawRows(JsonLines(data))
        kept = data.rfind(b"\n") + 1
        lost = DeadLetter(kept, fault, None, data[kept:])
        return RawRows(JsonLines(data[:kept]), wanted.range.dead_letters([lost]))


def _unzip(path: Path) -> tuple[bytes, str | None]:
    """What can be unzipped, and why not all of it can."""
    chunks = []
    with gzip.open(path) as stream:
        try:
            while chunk := stream.read1(_CHUNK_BYTES):
                chunks.append(chunk)
        except EOFError:
            return b"".join(chunks), "truncated"
        except (gzip.BadGzipFile, zlib.error):
            return b"".join(chunks), "unreadable_file"
    return b"".join(chunks), None
