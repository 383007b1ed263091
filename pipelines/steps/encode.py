"""Declared features from events to the record's form: hashes, lists of hashes, numbers."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.arrays import Bools
from schemas.hashing import hash_nullable, hash_one, hash_strings
from schemas.spec import Feature


def encode(feature: Feature, column: pa.Array) -> pa.Array:
    """One feature's values: `id` → int64 or null, `ids` → list of int64, `number` → float64.

    A missing value takes the feature's default, if the spec declares one.
    """
    if feature.type == "ids":
        return _encode_lists(column)
    if feature.type == "number":
        return column if feature.default is None else pc.fill_null(column, float(feature.default))
    hashed = hash_nullable(column)
    if feature.default is None:
        return hashed
    return pc.fill_null(hashed, hash_one(str(feature.default)))


def encode_known(feature: Feature, column: pa.Array, known: Bools) -> pa.Array:
    """The same, missing where `known` does not hold: there a default does not apply either."""
    if known.all():
        return encode(feature, column)
    rows = pa.array(np.arange(len(known)), mask=~known)
    if feature.type == "ids":
        return _encode_lists(column.take(rows))
    return encode(feature, column).take(rows)


def _encode_lists(column: pa.Array) -> pa.Array:
    full = pc.fill_null(column, []) if column.null_count else column
    values = pa.array(hash_strings(full.flatten()))
    counts = pc.list_value_length(full)
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum(counts)])
    kind = pa.list_(pa.field("item", pa.int64(), nullable=False))
    return pa.ListArray.from_arrays(offsets.cast(pa.int32()), values, type=kind)
