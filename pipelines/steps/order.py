"""Sorting where ties of numbers go to text: the text is ranked only where it decides."""

import numpy as np
import polars as pl
import pyarrow as pa

from pipelines.arrays import Ints


def order_by(columns: list[Ints], text: pa.StringArray, descending: bool = False) -> Ints:
    """The rows in order of the columns (first is most significant), then of the text's bytes."""
    order = np.lexsort(columns[::-1])
    ranks = np.zeros(len(order), np.int64)
    tied = _tied(columns, order)
    if not len(tied):
        return order
    words = pl.Series("text", text.take(pa.array(tied)), dtype=pl.String)
    ranked = words.rank("dense").cast(pl.Int64).to_numpy()
    ranks[tied] = -ranked if descending else ranked
    return np.lexsort((ranks, *columns[::-1]))


def _tied(columns: list[Ints], order: Ints) -> Ints:
    """Rows whose numbers equal a neighbour's."""
    same = np.ones(max(len(order) - 1, 0), np.bool_)
    for column in columns:
        ranked = column[order]
        same &= ranked[1:] == ranked[:-1]
    tied = np.zeros(len(order), np.bool_)
    tied[1:] |= same
    tied[:-1] |= same
    return np.sort(order[tied])
