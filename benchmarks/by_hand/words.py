"""Texts that repeat, as codes into a vocabulary."""

from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.by_hand.arrays import Array, Bools


@dataclass(frozen=True)
class Words:
    """A column as `codes` into the `values` of its vocabulary, -1 for null."""

    codes: Array
    values: pa.StringArray

    def __getitem__(self, rows: Any) -> Array:
        """The codes of these rows, null as the word after the last."""
        codes = self.codes[rows]
        return np.where(codes < 0, len(self.values), codes)

    def legal(self, limit_bytes: int, least_bytes: int = 0) -> Bools:
        """Which rows hold text of a legal length; null is legal if empty text is."""
        self.values.validate(full=True)
        sizes = pc.binary_length(self.values).to_numpy()
        legal = np.append((sizes >= least_bytes) & (sizes <= limit_bytes), least_bytes == 0)
        return legal[self.codes]


def together(*columns: pa.ChunkedArray) -> Any:
    """Columns of one kind over one vocabulary."""
    chunks = [chunk for column in columns for chunk in column.chunks]
    joined = pa.chunked_array(chunks).unify_dictionaries()
    codes = np.concatenate([chunk.indices.fill_null(-1).to_numpy() for chunk in joined.chunks])
    values = joined.chunk(0).dictionary
    ends = list(accumulate((len(column) for column in columns), initial=0))
    return tuple(Words(codes[begin:end], values) for begin, end in pairwise(ends))


def words_of(column: pa.ChunkedArray) -> Words:
    """One column over its own vocabulary."""
    return together(column)[0]
