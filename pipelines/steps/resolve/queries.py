"""Rule 10's first two ways to a query: the user's own, else the most frequent with the item."""

from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa
from numba import njit

from pipelines.arrays import Bools, Floats, Ints
from pipelines.steps.first_at import first_at
from pipelines.steps.order import order_by
from pipelines.steps.ragged import mix


@dataclass(frozen=True)
class Asked:
    """Questions: whose and which item, before when, and since when requests are remembered."""

    user: Ints
    item: Ints
    time_ms: Ints
    since_ms: Ints


def own_queries(shown: pa.Table, asked: Asked) -> Ints:
    """The row of `shown` with each user's latest request that exposed the item; -1 for none.

    Ties of time go to the smaller request id.
    """
    key = mix(shown["user"].to_numpy(), shown["item"].to_numpy())
    time_ms = shown["time_ms"].to_numpy()
    order = order_by([key, time_ms], shown["id"].combine_chunks(), descending=True)
    key, time_ms = key[order], time_ms[order]
    wanted = mix(asked.user, asked.item)
    row = first_at(key, time_ms, wanted, asked.time_ms) - 1
    held = row >= 0
    at = row[held]
    held[held] = (key[at] == wanted[held]) & (time_ms[at] >= asked.since_ms[held])
    found = np.full(len(row), -1, np.int64)
    found[held] = order[row[held]]
    return found


def frequent_queries(shown: pa.Table, asked: Asked) -> tuple[Ints, Floats]:
    """A row of `shown` with the query that most requests with the item had, and its share.

    Ties go to the smaller query; -1 for none.
    """
    item, time_ms = shown["item"].to_numpy(), shown["time_ms"].to_numpy()
    order = np.lexsort((time_ms, item))
    words = pl.Series(shown["query"].combine_chunks(), dtype=pl.String)
    code = words.rank("dense").cast(pl.Int64).to_numpy() - 1
    turn = np.lexsort((asked.time_ms, asked.item))
    found, share = np.full(len(turn), -1, np.int64), np.zeros(len(turn))
    questions = asked.item[turn], asked.time_ms[turn], asked.since_ms[turn]
    rows = item[order], time_ms[order], code[order]
    found[turn], share[turn] = _most_frequent(rows, questions, int(code.max(initial=-1)) + 1)
    held = found >= 0
    first = np.full(int(code.max(initial=-1)) + 1, -1, np.int64)
    first[code] = np.arange(len(code))
    found[held] = first[found[held]]
    return found, share


@njit(cache=True)
def _most_frequent(rows, questions, codes):  # type: ignore[no-untyped-def]
    """Per question the most frequent code among its item's rows in time, and its share.

    Rows and questions are in (item, time) order; a code's count moves with the questions.
    """
    item, time_ms, code = rows
    asked_item, before_ms, since_ms = questions
    counts = np.zeros(codes, np.int64)
    found = np.full(len(asked_item), -1, np.int64)
    share = np.zeros(len(asked_item), np.float64)
    low, high = 0, 0
    for q in range(len(asked_item)):
        fresh = q == 0 or asked_item[q] != asked_item[q - 1]
        if fresh:
            for row in range(low, high):
                counts[code[row]] = 0
            low = np.searchsorted(item, asked_item[q])
            high, stop = low, np.searchsorted(item, asked_item[q], side="right")
        while high < stop and time_ms[high] < before_ms[q]:
            counts[code[high]] += 1
            high += 1
        while low < high and time_ms[low] < since_ms[q]:
            counts[code[low]] -= 1
            low += 1
        best = -1
        for row in range(low, high):
            one = code[row]
            more = best < 0 or counts[one] > counts[best]
            if more or (counts[one] == counts[best] and one < best):
                best = one
        if best >= 0:
            found[q], share[q] = best, counts[best] / (high - low)
    return found, share


def taken(column: pa.ChunkedArray, rows: Ints) -> pa.Array:
    """Values of rows; null where the row is -1."""
    return column.combine_chunks().take(pa.array(rows, mask=_missing(rows)))


def _missing(rows: Ints) -> Bools:
    return rows < 0
