"""Columns that hold a value in a few rows and are null in all others."""

import numpy as np
import pyarrow as pa

from pipelines.arrays import Ints


def scattered(values: pa.Array, rows: Ints, size: int) -> pa.Array:
    """An array of `size` that holds the values, numbers or strings, at these rising rows.

    Values that are null stay so.
    """
    if values.null_count:
        held = np.asarray(values.is_valid())
        values, rows = values.drop_null(), rows[held]
    if not len(values):
        return pa.nulls(size, values.type)
    present = np.zeros(size, np.bool_)
    present[rows] = True
    validity = pa.py_buffer(np.packbits(present, bitorder="little"))
    if not pa.types.is_string(values.type):
        full = np.zeros(size, values.type.to_pandas_dtype())
        full[rows] = values.to_numpy()
        return pa.Array.from_buffers(values.type, size, [validity, pa.py_buffer(full)])
    offsets = np.zeros(size + 1, np.int32)
    ends = np.frombuffer(values.buffers()[1], np.int32)[values.offset :][: len(values) + 1]
    offsets[rows + 1] = np.diff(ends)
    np.cumsum(offsets, out=offsets)
    text = values.buffers()[2]
    data = pa.py_buffer(b"") if text is None else text.slice(int(ends[0]))
    return pa.StringArray.from_buffers(size, pa.py_buffer(offsets), data, validity)
