"""Ids made of a letter and a number, whole columns at once."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from pipelines.simulate.rows import NONE

Numbers = npt.NDArray[np.integer]


def numbered(prefix: str, numbers: Numbers) -> pa.Array:
    """`prefix` and the number, as strings; null for none.

    >>> numbered("r", np.array([7, -1, 1234])).to_pylist()
    ['r7', None, 'r1234']
    """
    letters = np.full(len(numbers), ord(prefix), np.uint8)
    return lettered(letters, numbers)


def lettered(letters: npt.NDArray[np.uint8], numbers: Numbers) -> pa.Array:
    """A letter of its own before each number, as strings; null for none."""
    ends, text = _spell(letters, numbers.astype(np.int64, copy=False))
    none = numbers == NONE
    nulls = int(none.sum())
    valid = pa.array(~none).buffers()[1] if nulls else None
    buffers = [valid, pa.py_buffer(ends), pa.py_buffer(text)]
    return pa.Array.from_buffers(pa.string(), len(numbers), buffers, nulls)


@njit(cache=True)
def _spell(letters, numbers):  # type: ignore[no-untyped-def]
    """Where each id ends, after a leading 0, and all of them end to end."""
    ends = np.zeros(len(numbers) + 1, np.int32)
    text = np.empty(20 * len(numbers), np.uint8)
    end = 0
    for row in range(len(numbers)):
        number = numbers[row]
        if number >= 0:
            text[end] = letters[row]
            end += 1
            rest, width = number // 10, 1
            while rest:
                rest, width = rest // 10, width + 1
            for place in range(end + width - 1, end - 1, -1):
                text[place] = 48 + number % 10
                number //= 10
            end += width
        ends[row + 1] = end
    return ends, text[:end].copy()
