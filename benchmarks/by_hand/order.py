"""Rows by user and time."""

import numpy as np
import polars as pl
import pyarrow as pa

from benchmarks.by_hand.arrays import Array, Bools, Ints
from benchmarks.by_hand.kernels.rows import by_user


def mix(left: Array, right: Ints) -> Ints:
    """One key of two columns."""
    spread = left.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (spread ^ right.view(np.uint64)) * np.uint64(0xBF58476D1CE4E5B9)
    return (mixed ^ (mixed >> np.uint64(31))).view(np.int64)


def in_order(
    alive: Bools, user: Ints, time_ms: Ints, text: pa.ChunkedArray, users: int
) -> tuple[Ints, Ints]:
    """The living rows by (user, time, as they stand, text), and where each user begins.

    As they stand: streams one after the other.
    """
    rows = np.flatnonzero(alive)
    if (np.diff(time_ms[rows]) < 0).any():
        rows = rows[np.argsort(time_ms[rows], kind="stable")]
    order, bounds = by_user(rows, user, users)
    same = (np.diff(user[order]) == 0) & (np.diff(time_ms[order]) == 0)
    tied = np.union1d(np.flatnonzero(same), np.flatnonzero(same) + 1)
    if len(tied):
        ids = pl.Series(text.take(pa.array(order[tied])), dtype=pl.String)
        stream = pl.Series(ids.str.slice(0, 1))
        frame = pl.DataFrame(
            {"u": user[order[tied]], "t": time_ms[order[tied]], "s": stream, "i": ids}
        )
        order[tied] = order[tied][frame.with_row_index("row").sort("u", "t", "s", "i")["row"]]
    return order, bounds
