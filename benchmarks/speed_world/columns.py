"""Columns of the shop: ids, words, and copies of rows."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Ints = npt.NDArray[np.int64]
Rng = np.random.Generator

COPIED = 0.02
"""So many events come twice: most as they were, a quarter stamped anew within two seconds."""


def zipf(size: int, exponent: float) -> npt.NDArray[np.float64]:
    """The cumulative shares of `size` things, the first the most frequent."""
    weights = np.arange(1, size + 1) ** -exponent
    shares = np.cumsum(weights / weights.sum())
    shares[-1] = 1.0
    return shares


def ids(prefix: str, numbers: Ints) -> pa.Array:
    """Texts that are prefix and number."""
    return pc.binary_join_element_wise(prefix, pa.array(numbers).cast(pa.string()), "")


def words(prefix: str, numbers: Ints) -> pa.DictionaryArray:
    """The same, for texts that repeat."""
    return ids(prefix, numbers).dictionary_encode()


def with_copies(rng: Rng, table: pa.Table) -> pa.Table:
    """The rows, and behind them copies of some."""
    rows = np.flatnonzero(rng.random(table.num_rows) < COPIED)
    copies = table.take(pa.array(rows))
    later_ms = np.where(rng.random(len(rows)) < 0.25, rng.integers(2_000, size=len(rows)), 0)
    time_ms = pa.array(copies["time_ms"].to_numpy() + later_ms)
    at = copies.column_names.index("time_ms")
    return pa.concat_tables([table, copies.set_column(at, "time_ms", time_ms)])
