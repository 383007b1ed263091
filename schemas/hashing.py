"""Stable 64-bit ids: XXH3-64 of UTF-8 parts joined by a zero byte, as signed int64.

The same in every process, version and platform; computed column-wise, never per value.
"""

from functools import reduce

import numpy as np
import numpy.typing as npt
import polars as pl
import polars_hash as plh
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

_XXH3 = plh.col("key").nchash.xxh3_64()

Int64Array = npt.NDArray[np.int64]


def hash_one(*parts: str) -> int:
    """The id of one value, for constants and for a person at a prompt.

    >>> hash_one("42") == int(hash_strings(pa.array(["42"]))[0])
    True
    """
    digest = xxhash.xxh3_64_intdigest("\0".join(parts).encode())
    return digest - (1 << 64) if digest >= 1 << 63 else digest


def hash_strings(*parts: pa.Array | pa.ChunkedArray) -> Int64Array:
    """The ids of n rows of one or more equally long string columns, shape [n].

    A null part counts as empty text: give nulls a meaning before or after. Each distinct value of
    a single dictionary-encoded column is hashed once.
    """
    if len(parts) == 1 and pa.types.is_dictionary(parts[0].type):
        return _hash_dictionary(parts[0])
    columns = [pc.fill_null(part.cast(pa.string()), "") for part in parts]
    joined = columns[0] if len(columns) == 1 else reduce(_join, columns)
    hashed = pl.Series("key", joined).to_frame().select(_XXH3)
    return hashed.to_series().to_numpy().view(np.int64)


def _hash_dictionary(column: pa.DictionaryArray | pa.ChunkedArray) -> Int64Array:
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    hashes = [np.empty(0, np.int64)]
    for chunk in chunks:
        distinct = np.append(hash_strings(chunk.dictionary), hash_one(""))
        places = pc.fill_null(chunk.indices, len(chunk.dictionary))
        hashes.append(distinct[places.to_numpy()])
    return np.concatenate(hashes)


def hash_nullable(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """The ids of one string column as an Arrow int64 array; null stays null."""
    flat = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    missing = np.asarray(flat.is_null()) if flat.null_count else None
    return pa.array(hash_strings(flat), mask=missing)


def shard_of(hashes: Int64Array, shards: int) -> Int64Array:
    """The shard, 0 to shards - 1, of each hash, read as unsigned."""
    return (hashes.view(np.uint64) % np.uint64(shards)).astype(np.int64)


def _join(left: pa.Array, right: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise(left, right, "\0")
