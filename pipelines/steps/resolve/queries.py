"""Rule 10's first two ways to a query: the user's own, else the most frequent with the item."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numba import njit

from pipelines.arrays import Bools, Floats, Ints
from pipelines.steps.first_at import first_at
from pipelines.steps.ragged import mix
from pipelines.steps.resolve.shown import Requests, Shown
from pipelines.steps.segments import of_keys

_NEVER, _LAST = np.iinfo(np.int64).min, np.iinfo(np.int64).max


@dataclass(frozen=True)
class Asked:
    """Questions: whose and which item, before when, and since when requests are remembered."""

    user: Ints
    item: Ints
    time_ms: Ints
    since_ms: Ints

    def take(self, rows: Bools) -> "Asked":
        """Some of them."""
        return Asked(self.user[rows], self.item[rows], self.time_ms[rows], self.since_ms[rows])


def own_queries(shown: Shown, asked: Asked) -> tuple[Bools, Ints]:
    """Which users had asked for the item before, and the hash of what they asked last."""
    wanted = mix(asked.user, asked.item)
    word, latest_ms = np.zeros(len(wanted), np.int64), np.full(len(wanted), _NEVER)
    for table in shown.latest:
        pair, time_ms = table["pair"].to_numpy(), table["time_ms"].to_numpy()
        row = first_at(pair, time_ms, wanted, asked.time_ms) - 1
        later = row >= 0
        at = row[later]
        later[later] = (pair[at] == wanted[later]) & (time_ms[at] > latest_ms[later])
        latest_ms[later] = time_ms[row[later]]
        word[later] = table["word"].to_numpy()[row[later]]
    return (latest_ms >= asked.since_ms) & (latest_ms > _NEVER), word


def frequent_queries(shown: Shown, fresh: Requests, asked: Asked) -> tuple[Bools, Ints, Floats]:
    """Which items a query had shown, the hash of the most frequent one, and its share.

    Ties go to the smaller query. `fresh` are the requests of the windows that ask, not yet
    counted in `shown`, which holds nothing but earlier windows.
    """
    item, time_ms, word, number = _with_items(shown, fresh, asked)
    words, code = np.unique(word, return_inverse=True)
    rank = pl.Series(shown.texts(words), dtype=pl.String).rank("ordinal").to_numpy()
    code = rank.astype(np.int64)[code] - 1
    order, turn = np.lexsort((time_ms, item)), np.lexsort((asked.time_ms, asked.item))
    rows = item[order], time_ms[order], code[order], number[order]
    questions = asked.item[turn], asked.time_ms[turn], asked.since_ms[turn]
    found, share = np.empty(len(turn), np.int64), np.empty(len(turn))
    found[turn], share[turn] = _most_frequent(rows, questions, len(words))
    held = found >= 0
    answer = np.zeros(len(turn), np.int64)
    answer[held] = words[np.argsort(rank)][found[held]]
    return held, answer, share


def _with_items(shown: Shown, fresh: Requests, asked: Asked) -> tuple[Ints, Ints, Ints, Ints]:
    """Item, time, query and number of requests: counted by window, the fresh ones one by one."""
    items = np.unique(asked.item)
    here = np.flatnonzero(np.isin(fresh.shown["item"].to_numpy(), items))
    columns = [fresh.shown[name].to_numpy()[here] for name in ("item", "time_ms")]
    parts = [[*columns, fresh.word[here], np.ones(len(here), np.int64)]]
    for table in shown.counts:
        rows = of_keys(table["item"].to_numpy(), items)
        names = ("item", "time_ms", "word", "number")
        parts.append([table[name].to_numpy()[rows] for name in names])
    item, time_ms, word, number = (np.concatenate(column) for column in zip(*parts, strict=True))
    recent = time_ms >= asked.since_ms.min(initial=_LAST)
    return item[recent], time_ms[recent], word[recent], number[recent]


@njit(cache=True)
def _most_frequent(rows, questions, codes):  # type: ignore[no-untyped-def]
    """Per question the most frequent code among its item's rows of the time, and its share.

    Rows (item, time, code, number) and questions (item, before, since) are in (item, time) order;
    counts move with the questions, and all are taken again only where rows leave. -1 for none.
    """
    item, time_ms, code, number = rows
    asked_item, before_ms, since_ms = questions
    counts = np.zeros(codes, np.int64)
    found = np.full(len(asked_item), -1, np.int64)
    share = np.zeros(len(asked_item), np.float64)
    low, high, stop, total, best = 0, 0, 0, 0, -1
    for q in range(len(asked_item)):
        if q == 0 or asked_item[q] != asked_item[q - 1]:
            for row in range(low, high):
                counts[code[row]] = 0
            low = np.searchsorted(item, asked_item[q])
            high, stop = low, np.searchsorted(item, asked_item[q], side="right")
            total, best = 0, -1
        while high < stop and time_ms[high] < before_ms[q]:
            one = code[high]
            counts[one] += number[high]
            total += number[high]
            more = best < 0 or counts[one] > counts[best]
            if more or (counts[one] == counts[best] and one < best):
                best = one
            high += 1
        if low < high and time_ms[low] < since_ms[q]:
            while low < high and time_ms[low] < since_ms[q]:
                counts[code[low]] -= number[low]
                total -= number[low]
                low += 1
            best = -1
            for row in range(low, high):
                one = code[row]
                more = best < 0 or counts[one] > counts[best]
                if more or (counts[one] == counts[best] and one < best):
                    best = one
        if best >= 0:
            found[q], share[q] = best, counts[best] / total
    return found, share
