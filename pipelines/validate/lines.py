"""Where the lines of a block of JSON Lines are, and which of them cannot go the fast way."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from pipelines.sources.raw import Int64Array, JsonLines

BoolArray = npt.NDArray[np.bool_]

BLOCK_BYTES = 4 * 1024 * 1024

_NEWLINE, _RETURN, _OPEN, _CLOSE = (ord(mark) for mark in "\n\r{}")
_NUMBERS_BY_NAME = re.compile(rb"NaN|Inf")
_BLANK = b" \t\r"


@dataclass(frozen=True)
class Lines:
    """The lines of one block that are not blank; line i is `data[starts[i]:stops[i]]`."""

    data: bytes
    starts: Int64Array
    stops: Int64Array
    positions: Int64Array

    def __len__(self) -> int:
        return len(self.starts)

    def raw(self, line: int) -> bytes:
        """The bytes of one line, without its end."""
        return self.data[self.starts[line] : self.stops[line]]

    def join(self, lines: Int64Array) -> bytes:
        """Some lines, at least one, in rising order, as a block of their own."""
        first, last = int(lines[0]), int(lines[-1])
        if last - first + 1 == len(lines):
            return self.data[self.starts[first] : self.stops[last]]
        return b"\n".join(self.raw(line) for line in lines.tolist())

    @cached_property
    def doubtful(self) -> BoolArray:
        """Lines on which a lenient block parser and a strict line parser might differ.

        Every other line begins with `{` and ends with `}`, so that no two of them can be read as
        one event, and is UTF-8 without NUL and without numbers spelt `NaN` or `Inf`.
        """
        content = np.frombuffer(self.data, np.uint8)
        doubtful: BoolArray = (content[self.starts] != _OPEN) | (content[self.stops - 1] != _CLOSE)
        for place in (*self._places(b"\0"), *self._numbers_by_name(content)):
            doubtful[np.searchsorted(self.starts, place, side="right") - 1] = True
        if not _is_utf8(self.data):
            doubtful |= [not _is_utf8(self.raw(line)) for line in range(len(self))]
        return doubtful

    def _places(self, mark: bytes) -> Iterator[int]:
        place = self.data.find(mark)
        while place >= 0:
            yield place
            place = self.data.find(mark, place + 1)

    def _numbers_by_name(self, content: npt.NDArray[np.uint8]) -> list[int]:
        """Places of `NaN` and `Inf`. Their first letters are rare: look for these first."""
        letters = np.flatnonzero((content == ord("N")) | (content == ord("I")))
        return [at for at in letters.tolist() if _NUMBERS_BY_NAME.match(self.data, at)]


def blocks(content: JsonLines) -> Iterator[Lines]:
    """The content in blocks of whole lines, about `BLOCK_BYTES` each."""
    start, line = 0, 0
    while start < len(content.data):
        stop = content.data.find(b"\n", start + BLOCK_BYTES) + 1 or len(content.data)
        block, count = _lines(content, start, stop, line)
        yield block
        start, line = stop, line + count


def _lines(content: JsonLines, start: int, stop: int, line: int) -> tuple[Lines, int]:
    data = content.data[start:stop]
    ends = np.flatnonzero(np.frombuffer(data, np.uint8) == _NEWLINE)
    if not data.endswith(b"\n"):
        ends = np.append(ends, len(data))
    starts = np.concatenate(([0], ends[:-1] + 1))
    if content.positions is None:
        positions = starts + (content.offset + start)
    else:
        positions = content.positions[line : line + len(ends)]
    return _trimmed(data, starts, ends, positions), len(ends)


def _trimmed(data: bytes, starts: Int64Array, ends: Int64Array, positions: Int64Array) -> Lines:
    """Without blank lines and carriage returns at line ends."""
    content = np.frombuffer(data, np.uint8)
    stops = ends - ((ends > starts) & (content[np.maximum(ends - 1, 0)] == _RETURN))
    filled = stops > starts
    for line in np.flatnonzero(filled & (content[np.minimum(starts, len(data) - 1)] <= 32)):
        filled[line] = bool(data[starts[line] : stops[line]].strip(_BLANK))
    return Lines(data, starts[filled], stops[filled], positions[filled])


def _is_utf8(data: bytes) -> bool:
    try:
        return data.isascii() or data.decode() is not None
    except UnicodeDecodeError:
        return False
