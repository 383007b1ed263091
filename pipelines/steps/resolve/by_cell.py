"""Step 3, by semantic cell: the query nearest to a title among those asked before (rule 10)."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa

from pipelines.arrays import Ints
from pipelines.similarity.encoder import Encoder, encoder_of
from pipelines.similarity.nearest import nearest
from pipelines.similarity.scan import Answers, Corpus, Questions
from pipelines.similarity.similarity import Vectors
from pipelines.steps.resolve.tables import ANSWERS, QUERIES, UNANSWERED, counted
from pipelines.steps.step import NO_CUT, Tables
from schemas.labels import QUERY_PATH_CODES
from schemas.spec import Searchify, Spec

_EVER = np.iinfo(np.int64).min


@dataclass(frozen=True)
class ResolveByCellStep:
    """`queries` and `unanswered` of one cell → `answers`, `none` where nothing is similar.

    Both are of cuts up to the one given. State: when each query was first asked in each window
    that is remembered, and its vector.
    """

    spec: Spec
    searchify: Searchify
    name: str = "resolve_by_cell"

    def advance(self, state: Tables, events: Tables, cut: int) -> tuple[Tables, Tables]:
        """See `Step.advance`."""
        encoder = encoder_of(self.searchify.encoder)
        asked = _first_asked([t["queries"] for t in (state, events) if "queries" in t])
        corpus = _Queries.of(asked, state.get("vectors"), encoder)
        unanswered = events.get("unanswered", UNANSWERED.empty_table()).combine_chunks()
        answers = self._answer(unanswered, asked, corpus, encoder)
        asked = self._remembered(asked, cut)
        state = {"queries": asked, "vectors": corpus.table(asked)}
        return state, {"answers": answers, "counts": _counts(answers)}

    def _answer(
        self, unanswered: pa.Table, asked: pa.Table, corpus: "_Queries", encoder: Encoder
    ) -> pa.Table:
        """Window by window: a window's questions see what was asked in it and in those before."""
        start_ms = unanswered["window_start_ms"].to_numpy()
        found = Answers.none(len(unanswered))
        titles = encoder.encode(unanswered["title"].combine_chunks())
        for window in np.unique(start_ms):
            rows = np.flatnonzero(start_ms == window)
            time_ms = unanswered["time_ms"].to_numpy()[rows]
            words, known = self._known(asked, corpus, int(window))
            answers = nearest(Questions(titles[rows], time_ms), known)
            held = answers.index >= 0
            found.index[rows[held]] = words[answers.index[held]]
            found.score[rows[held]] = answers.score[held]
        return _answers(unanswered, corpus, found)

    def _known(self, asked: pa.Table, corpus: "_Queries", window: int) -> tuple[Ints, Corpus]:
        """The queries that one window's questions may see, by their bytes, and since when."""
        starts = asked["window_start_ms"].to_numpy()
        oldest = window - self.searchify.query_memory * self.spec.window.length_ms
        seen = (starts >= oldest) & (starts <= window)
        word = corpus.row_of(asked["query"].filter(pa.array(seen)))
        since = np.where(starts < window, _EVER, asked["time_ms"].to_numpy())[seen]
        order = np.lexsort((since, word))
        words, first = np.unique(word[order], return_index=True)
        return words, Corpus(corpus.vectors[words], since[order][first])

    def _remembered(self, asked: pa.Table, cut: int) -> pa.Table:
        if cut == NO_CUT:
            return asked
        window = self.spec.window
        next_start_ms = window.window_of_cut(cut) + window.length_ms
        oldest = next_start_ms - self.searchify.query_memory * window.length_ms
        return asked.filter(pa.array(asked["window_start_ms"].to_numpy() >= oldest))


def _first_asked(parts: list[pa.Table]) -> pa.Table:
    """One row for each window and query, with its first time."""
    rows = pl.DataFrame(pl.from_arrow(pa.concat_tables([QUERIES.empty_table(), *parts])))
    first = rows.group_by("window_start_ms", "query").agg(pl.col("time_ms").min())
    ordered = first.sort("window_start_ms", "query").select(QUERIES.names)
    return ordered.to_arrow().cast(QUERIES)


@dataclass(frozen=True)
class _Queries:
    """Distinct queries in order of their bytes, with their vectors [n, d]."""

    query: pa.StringArray
    vectors: Vectors

    @classmethod
    def of(cls, asked: pa.Table, known: pa.Table | None, encoder: Encoder) -> "_Queries":
        """All queries that were asked; only new ones are encoded."""
        words = pl.Series(asked["query"].combine_chunks(), dtype=pl.String).unique().sort()
        query = words.to_arrow().cast(pa.string())
        if known is None or not known.num_rows:
            return cls(query, encoder.encode(query))
        row = pa.compute.index_in(query, value_set=known["query"].combine_chunks())
        fresh = np.asarray(row.is_null())
        new = encoder.encode(query.filter(pa.array(fresh)))
        vectors = np.empty((len(query), new.shape[1]), np.int8)
        vectors[fresh] = new
        held = known["vector"].combine_chunks()
        old = np.frombuffer(held.buffers()[1], np.int8).reshape(-1, new.shape[1])[held.offset :]
        vectors[~fresh] = old[row.drop_null().to_numpy()]
        return cls(query, vectors)

    def row_of(self, query: pa.ChunkedArray) -> Ints:
        """The row of each of these queries."""
        found = pa.compute.index_in(query.combine_chunks(), value_set=self.query)
        return found.to_numpy(zero_copy_only=False).astype(np.int64)

    def table(self, asked: pa.Table) -> pa.Table:
        """Queries and vectors that `asked` still names."""
        rows = np.unique(self.row_of(asked["query"]))
        width = pa.binary(self.vectors.shape[1])
        data = pa.py_buffer(np.ascontiguousarray(self.vectors[rows]))
        vector = pa.FixedSizeBinaryArray.from_buffers(width, len(rows), [None, data])
        return pa.table({"query": self.query.take(pa.array(rows)), "vector": vector})


def _answers(unanswered: pa.Table, corpus: _Queries, found: Answers) -> pa.Table:
    missing = found.index < 0
    codes = QUERY_PATH_CODES["none"], QUERY_PATH_CODES["nearest"]
    columns = {
        **{name: unanswered[name] for name in ("window_start_ms", "user", "id")},
        "query": corpus.query.take(pa.array(found.index, mask=missing)),
        "path": pa.array(np.where(missing, *codes).astype(np.int32)),
        "score": pa.array(found.score, mask=missing),
    }
    return pa.table([columns[name] for name in ANSWERS.names], schema=ANSWERS)


def _counts(answers: pa.Table) -> pa.Table:
    none = int((answers["path"].to_numpy() == QUERY_PATH_CODES["none"]).sum())
    counts = Counter({"query/nearest": len(answers) - none, "query/none": none, "no_query": none})
    return counted(counts)
