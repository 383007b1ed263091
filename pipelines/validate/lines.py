"""Where the lines of a block of JSON Lines are, and which of them cannot go the fast way."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from pipelines.sources.raw import Int64Array, JsonLines

BoolArray = npt.NDArray[np.bool_]

DEPTH_LIMIT = 200
"""A line nested deeper is refused: a parser that recurses could not read it everywhere."""

_BEGINNING = 4 * 1024

BLOCK_BYTES = 4 * 1024 * 1024

_NEWLINE, _RETURN, _OPEN, _CLOSE = (ord(mark) for mark in "\n\r{}")
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"?', re.DOTALL)
_NOT_BRACKET = bytes(byte for byte in range(256) if byte not in b"[]{}")
_CASE = ord("{") ^ ord("[")
_BLANK = b" \t\r"
_NOWHERE = np.empty(0, np.int64)


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
        one event, is UTF-8 without NUL and without numbers spelt `NaN` or `Inf`, and not too deep.
        """
        content = np.frombuffer(self.data, np.uint8)
        doubtful: BoolArray = (content[self.starts] != _OPEN) | (content[self.stops - 1] != _CLOSE)
        for places in (_nul(self.data), _words(content, b"NaN"), _words(content, b"Inf")):
            doubtful[np.searchsorted(self.starts, places, side="right") - 1] = True
        doubtful |= self.deep
        if not _is_utf8(self.data):
            doubtful |= [not _is_utf8(self.raw(line)) for line in range(len(self))]
        return doubtful

    @cached_property
    def deep(self) -> BoolArray:
        """Lines that nest deeper than `DEPTH_LIMIT`."""
        deep = np.zeros(len(self), np.bool_)
        for line in self._with_many_brackets().tolist():
            deep[line] = _is_deep(self.raw(line))
        return deep

    def _with_many_brackets(self) -> Int64Array:
        """Lines that open more brackets than may be nested."""
        content = np.frombuffer(self.data, np.uint8)
        opened = np.flatnonzero((content | _CASE) == _OPEN)
        counts = np.searchsorted(opened, self.stops) - np.searchsorted(opened, self.starts)
        return np.flatnonzero(counts > DEPTH_LIMIT)


def blocks(content: JsonLines) -> Iterator[Lines]:
    """The content in blocks of whole lines, about `BLOCK_BYTES` each."""
    if content.stops is not None and content.positions is not None:
        yield from _messages(content.data, content.stops, content.positions)
        return
    start, line = 0, 0
    while start < len(content.data):
        stop = content.data.find(b"\n", start + BLOCK_BYTES) + 1 or len(content.data)
        block, count = _lines(content, start, stop, line)
        yield block
        start, line = stop, line + count


def _messages(data: bytes, stops: Int64Array, positions: Int64Array) -> Iterator[Lines]:
    starts = np.concatenate(([0], stops[:-1] + 1))
    first = 0
    while first < len(stops):
        begin = int(starts[first])
        last = max(first + 1, int(np.searchsorted(stops, begin + BLOCK_BYTES)))
        block = slice(first, last)
        yield Lines(
            data[begin : stops[last - 1]],
            starts[block] - begin,
            stops[block] - begin,
            positions[block],
        )
        first = last


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


def _nul(data: bytes) -> Int64Array:
    return np.flatnonzero(np.frombuffer(data, np.uint8) == 0) if b"\0" in data else _NOWHERE


def _words(content: npt.NDArray[np.uint8], word: bytes) -> Int64Array:
    """The places of a word whose first letter is rare."""
    places = np.flatnonzero(content[: -len(word) + 1] == word[0])
    for step in range(1, len(word)):
        places = places[content[places + step] == word[step]]
    return places


def _is_deep(line: bytes) -> bool:
    """Whether the line nests deeper than `DEPTH_LIMIT`; most that do so do at their beginning."""
    return _dives(line[:_BEGINNING]) or (len(line) > _BEGINNING and _dives(line))


def _dives(line: bytes) -> bool:
    depth = 0
    for bracket in _STRING.sub(b"", line).translate(None, _NOT_BRACKET):
        depth += 1 if bracket | _CASE == _OPEN else -1
        if depth > DEPTH_LIMIT:
            return True
    return False


def _is_utf8(data: bytes) -> bool:
    try:
        return data.isascii() or data.decode() is not None
    except UnicodeDecodeError:
        return False
