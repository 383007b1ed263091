"""One raw column to its declared type.

Integers of any width, strings in any Arrow encoding and finer or coarser time stamps are taken;
times are floored to milliseconds. A number is never read from a string, nor an id from a number.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from pipelines.sources.raw import Int64Array
from pipelines.validate.kinds import EXPOSED, TIME

BoolArray = npt.NDArray[np.bool_]

_FAR = 2**60
"""Beyond every legal time and position; larger numbers are clamped to it."""

_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


@dataclass(frozen=True)
class Converted:
    """A column in its declared type; what could not be taken is null in `values`.

    A list also has `offsets` and `items`, a struct has `parts`; of both, only the validity of
    `values` counts.
    """

    values: pa.Array
    wrong: BoolArray | None = None
    bad_utf8: BoolArray | None = None
    offsets: Int64Array | None = None
    items: pa.Array | None = None
    parts: Mapping[str, pa.Array] = field(default_factory=dict)


def convert(column: pa.Array, declared: pa.Field) -> Converted:
    """The column as the declared field."""
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    kind = declared.type
    if types.is_list(kind):
        return _list(column)
    if types.is_struct(kind):
        return _struct(column, kind)
    if types.is_null(column.type):
        return _filled(declared, pa.nulls(len(column), kind))
    if types.is_string(kind):
        return _string(column)
    if types.is_floating(kind):
        return _number(column)
    if types.is_boolean(kind):
        return _flag(column, declared)
    return _time(column) if declared.name == TIME else _integer(column)


def _refused(column: pa.Array, kind: pa.DataType) -> Converted:
    wrong = _mask(column.is_valid())
    return Converted(pa.nulls(len(column), kind), wrong if wrong.any() else None)


def _flag(column: pa.Array, declared: pa.Field) -> Converted:
    is_flag = types.is_boolean(column.type)
    return _filled(declared, column) if is_flag else _refused(column, declared.type)


def _filled(declared: pa.Field, values: pa.Array) -> Converted:
    """A candidate was exposed unless it says otherwise."""
    if declared.name == EXPOSED and values.null_count:
        values = pc.fill_null(values, True)
    return Converted(values)


def _string(column: pa.Array) -> Converted:
    if types.is_dictionary(column.type):
        return _words(column)
    if not (_is_text(column.type) or _is_bytes(column.type)):
        return _refused(column, pa.string())
    target = pc.CastOptions(pa.string(), allow_invalid_utf8=True)
    values = column if types.is_string(column.type) else pc.cast(column, options=target)
    try:
        values.validate(full=True)
    except pa.ArrowInvalid:
        return _repaired(values)
    return Converted(values)


def _words(column: pa.DictionaryArray) -> Converted:
    """Distinct values are looked at once, and only where one of them is no text, all values."""
    distinct = _string(column.dictionary)
    faulty = distinct.wrong is not None or distinct.bad_utf8 is not None
    if faulty or column.dictionary.null_count:
        return _string(column.dictionary_decode())
    indices = column.indices.cast(pa.int32())
    return Converted(pa.DictionaryArray.from_arrays(indices, distinct.values))


def _is_text(kind: pa.DataType) -> bool:
    tests = (types.is_string, types.is_large_string, types.is_string_view)
    return any(test(kind) for test in tests)


def _is_bytes(kind: pa.DataType) -> bool:
    tests = (types.is_binary, types.is_large_binary, types.is_binary_view)
    return any(test(kind) for test in tests)


def _repaired(values: pa.Array) -> Converted:
    raw = values.cast(pa.binary()).to_pylist()
    bad = np.fromiter((not _is_utf8(value) for value in raw), np.bool_, len(raw))
    kept = pa.array(
        [None if lost else value for value, lost in zip(raw, bad, strict=True)], pa.binary()
    )
    return Converted(kept.cast(pa.string()), bad_utf8=bad)


def _is_utf8(value: bytes | None) -> bool:
    try:
        return value is None or value.decode() is not None
    except UnicodeDecodeError:
        return False


def _number(column: pa.Array) -> Converted:
    kind = column.type
    if types.is_float64(kind):
        return Converted(column)
    if types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind):
        return Converted(column.cast(pa.float64(), safe=False))
    return _refused(column, pa.float64())


def _integer(column: pa.Array) -> Converted:
    if not types.is_integer(column.type):
        return _refused(column, pa.int64())
    if types.is_uint64(column.type):
        column = pc.min_element_wise(column, pa.scalar(_FAR, pa.uint64()), skip_nulls=False)
    return Converted(column.cast(pa.int64()))


def _time(column: pa.Array) -> Converted:
    if types.is_floating(column.type):
        return _floored(column.cast(pa.float64()))
    if types.is_timestamp(column.type):
        return Converted(_milliseconds(column.cast(pa.int64()), _PER_SECOND[column.type.unit]))
    if types.is_date32(column.type):
        return _time(column.cast(pa.timestamp("s")))
    if types.is_date64(column.type):
        return Converted(column.cast(pa.int64()))
    return _integer(column)


def _floored(column: pa.Array) -> Converted:
    absent = _mask(column.is_null())
    numbers = column.fill_null(0.0).to_numpy(zero_copy_only=False)
    wrong = ~np.isfinite(numbers)
    floored = np.floor(np.clip(np.where(wrong, 0.0, numbers), -_FAR, _FAR)).astype(np.int64)
    return Converted(pa.array(floored, mask=absent | wrong), wrong if wrong.any() else None)


def _milliseconds(stamps: pa.Array, per_second: int) -> pa.Array:
    absent = _mask(stamps.is_null())
    counts = stamps.fill_null(0).to_numpy(zero_copy_only=False)
    if per_second >= 1_000:
        floored = counts // (per_second // 1_000)
    else:
        floored = np.clip(counts, -_FAR // 1_000, _FAR // 1_000) * 1_000
    return pa.array(floored, mask=absent)


def _list(column: pa.Array) -> Converted:
    if not _is_list(column.type):
        refused = _refused(column, pa.null())
        validity = pa.nulls(len(column), pa.bool_())
        starts = np.zeros(len(column) + 1, np.int64)
        return Converted(validity, refused.wrong, offsets=starts, items=pa.nulls(0))
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
    offsets = np.concatenate(([0], np.cumsum(lengths, dtype=np.int64)))
    return Converted(column, offsets=offsets, items=column.flatten())


def _is_list(kind: pa.DataType) -> bool:
    tests = (types.is_list, types.is_large_list, types.is_fixed_size_list, types.is_list_view)
    return any(test(kind) for test in tests) or types.is_large_list_view(kind)


def _struct(column: pa.Array, kind: pa.StructType) -> Converted:
    names = [part.name for part in kind]
    if not types.is_struct(column.type):
        absent = dict.fromkeys(names, pa.nulls(len(column)))
        validity = pa.nulls(len(column), pa.bool_())
        return Converted(validity, _refused(column, pa.null()).wrong, parts=absent)
    return Converted(column, parts={name: _part(column, name) for name in names})


def _part(column: pa.StructArray, name: str) -> pa.Array:
    found = column.type.get_all_field_indices(name)
    if not found:
        return pa.nulls(len(column))
    return column.flatten()[found[-1]] if column.null_count else column.field(found[-1])


def _mask(booleans: pa.Array) -> BoolArray:
    return np.asarray(booleans.to_numpy(zero_copy_only=False), np.bool_)
