"""Which queries had shown which items, as far as rule 10 still asks.

Users, items and queries are told apart by their hashes; the text of a query is kept once.
"""

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from pipelines.arrays import Bools, Ints
from pipelines.steps.order import order_by
from pipelines.steps.ragged import mix
from pipelines.steps.segments import Merge, Segments, places
from pipelines.steps.step import Tables
from schemas.hashing import hash_strings


@dataclass(frozen=True)
class Shown:
    """`latest`: when a user saw an item, and under which query, by (user and item, time); the item
    alone is null where an older version did not keep it.

    `counts`: how many requests of a window showed an item under a query, by (item, window).
    `words`: the queries by hash, each with the last window in which it was asked.
    """

    latest: Segments
    counts: Segments
    words: Segments

    @classmethod
    def of(cls, state: Tables) -> "Shown":
        """Out of a step's state."""
        return cls(*(Segments.of(kind, state) for kind in ("latest", "counts", "words")))

    def state(self) -> dict[str, pa.Table]:
        """The tables of a step's state."""
        return self.latest.state() | self.counts.state() | self.words.state()

    def seen(self, requests: "Requests", oldest_ms: int) -> "Shown":
        """With requests of whole windows, not counted yet; forgets what is older than a time."""
        latest = self.latest.with_rows(requests.latest(), _in_order("pair", "time_ms", oldest_ms))
        words = self.words.with_rows(requests.words(), lambda rows: _last_asked(rows, oldest_ms))
        return replace(self, latest=latest, words=words)

    def counted(self, requests: "Requests", oldest_ms: int) -> "Shown":
        """The same requests counted: each is now before whatever is asked."""
        merge = _in_order("item", "time_ms", oldest_ms)
        return replace(self, counts=self.counts.with_rows(requests.counts(), merge))

    def texts(self, words: Ints) -> pa.Array:
        """The text of each query; null for one that is not remembered."""
        texts = [pa.nulls(1, pa.string())]
        row, base = np.zeros(len(words), np.int64), 1
        for table in self.words:
            held, at = places(table["word"].to_numpy(), words)
            row[held] = base + at
            texts += table["query"].chunks
            base += table.num_rows
        return pa.chunked_array(texts).take(pa.array(row)).combine_chunks()


@dataclass(frozen=True)
class Requests:
    """Items that native requests of whole windows exposed: `shown`, and the hash of each query."""

    shown: pa.Table
    word: Ints

    @classmethod
    def of(cls, shown: pa.Table) -> "Requests":
        """From a step's input."""
        return cls(shown, hash_strings(shown["query"]))

    def latest(self) -> pa.Table:
        """One row a user, item and time; of requests of one time that of the smaller id."""
        pair = mix(self.shown["user"].to_numpy(), self.shown["item"].to_numpy())
        time_ms = self.shown["time_ms"].to_numpy()
        order = order_by([pair, time_ms], self.shown["id"].combine_chunks())
        first = order[_first_of_each(pair[order], time_ms[order])]
        item = self.shown["item"].to_numpy()[first]
        columns = {"pair": pair[first], "time_ms": time_ms[first], "word": self.word[first]}
        return pa.table({**columns, "item": item})

    def counts(self) -> pa.Table:
        """One row an item, window and query; the window's start stands as its time."""
        item, start_ms = (self.shown[name].to_numpy() for name in ("item", "window_start_ms"))
        order = np.lexsort((self.word, start_ms, item))
        keys = item[order], start_ms[order], self.word[order]
        first = np.flatnonzero(_first_of_each(*keys))
        number = np.diff(np.append(first, len(order)))
        columns = dict(zip(("item", "time_ms", "word"), (key[first] for key in keys), strict=True))
        return pa.table(columns | {"number": number})

    def words(self) -> pa.Table:
        """One row a query and window."""
        start_ms = self.shown["window_start_ms"].to_numpy()
        order = np.lexsort((start_ms, self.word))
        first = order[_first_of_each(self.word[order], start_ms[order])]
        query = self.shown["query"].take(pa.array(first))
        return pa.table({"word": self.word[first], "time_ms": start_ms[first], "query": query})


def _first_of_each(*keys: Ints) -> Bools:
    """Which rows differ from the one before, in some of the keys."""
    first = np.zeros(len(keys[0]), np.bool_)
    first[:1] = True
    for key in keys:
        first[1:] |= key[1:] != key[:-1]
    return first


def _in_order(key: str, then: str, oldest_ms: int) -> Merge:
    def merge(rows: pa.Table) -> pa.Table:
        rows = _since(rows, oldest_ms)
        order = np.lexsort((rows[then].to_numpy(), rows[key].to_numpy()))
        return rows.take(pa.array(order)).combine_chunks()

    return merge


def _last_asked(rows: pa.Table, oldest_ms: int) -> pa.Table:
    """Each query once, with the last window in which it was asked."""
    rows = _since(rows, oldest_ms)
    word = rows["word"].to_numpy()
    order = np.lexsort((-rows["time_ms"].to_numpy(), word))
    first = order[_first_of_each(word[order])]
    return rows.take(pa.array(first)).combine_chunks()


def _since(rows: pa.Table, oldest_ms: int) -> pa.Table:
    recent = rows["time_ms"].to_numpy() >= oldest_ms
    return rows.filter(pa.array(recent)).combine_chunks()
