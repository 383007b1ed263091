"""From nested Arrow arrays to flat numpy arrays and offsets, copying as little as possible.

Arrays may be slices of larger ones: offsets always start at 0 and values at the slice's first.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.errors import StoreError

BoolArray = npt.NDArray[np.bool_]
Int64Array = npt.NDArray[np.int64]
AnyArray = npt.NDArray[Any]


@dataclass(frozen=True)
class Values:
    """One value an entry: `values` [n], 0 where `valid` [n] is false."""

    values: AnyArray
    valid: BoolArray


@dataclass(frozen=True)
class Lists:
    """A list an entry: entry i holds `values[offsets[i]:offsets[i + 1]]`; `offsets` is [n + 1]."""

    values: Int64Array
    offsets: Int64Array


def split_list(array: pa.ListArray) -> tuple[Int64Array, pa.Array]:
    """Offsets [n + 1], beginning at 0, and the values that they cut."""
    offsets = np.asarray(array.offsets).astype(np.int64)
    first, last = int(offsets[0]), int(offsets[-1])
    return offsets - first, array.values.slice(first, last - first)


def numbers(array: pa.Array) -> AnyArray:
    """The values of an array without nulls, shape [n]; only booleans are copied."""
    return np.asarray(array.to_numpy(zero_copy_only=array.type != pa.bool_()))


def nullable(array: pa.Array) -> Values:
    """The values of an array that may hold nulls; copied only if it does."""
    if array.null_count == 0:
        return Values(numbers(array), np.ones(len(array), dtype=np.bool_))
    valid = numbers(array.is_valid())
    values = np.where(valid, _under_nulls(array), 0)
    return Values(values, valid)


def inner(array: pa.ListArray, offsets: Int64Array, path: str) -> pa.Array:
    """The values of one of several equally long list arrays, flattened.

    Raises StoreError if its lists are not as long as `offsets` says.
    """
    own, values = split_list(array)
    if not np.array_equal(own, offsets):
        raise StoreError(
            f"{path}: expected lists as long as those beside it ({offsets[-1]} entries in all), "
            f"received lists of other lengths ({own[-1]} entries). The record is damaged or was "
            "not made by this program: build the window again from its events."
        )
    return values


def feature(array: pa.Array) -> Values | Lists:
    """One feature, an entry a row: `id` and `number` become Values, `ids` becomes Lists."""
    if not pa.types.is_list(array.type):
        return nullable(array)
    offsets, values = split_list(array)
    return Lists(numbers(values), offsets)


def _under_nulls(array: pa.Array) -> AnyArray:
    """What the value buffer holds, null or not."""
    dtype = np.dtype(array.type.to_pandas_dtype())
    held = np.frombuffer(array.buffers()[1], dtype=dtype, count=array.offset + len(array))
    return held[array.offset :]
