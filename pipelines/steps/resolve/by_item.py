"""Step 2, by item: what items were called, and which queries had shown them (rule 10)."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipelines.arrays import Bools, Floats, Ints
from pipelines.steps.resolve.catalogue import Catalogue
from pipelines.steps.resolve.queries import Asked, frequent_queries, own_queries
from pipelines.steps.resolve.shown import Requests, Shown
from pipelines.steps.resolve.tables import ANSWERS, SHOWN, TEXTS, UNANSWERED, WANTED, counted
from pipelines.steps.step import Tables
from schemas.labels import ORIGIN_CODES, QUERY_PATH_CODES
from schemas.spec import Searchify, Spec


@dataclass(frozen=True)
class ResolveByItemStep:
    """Item events, `shown` and `wanted` of one shard of items → `texts` and `answers`.

    Positives that nobody was shown under a query become `unanswered`. `wanted` and `shown` are of
    cuts up to the one given and act in this call; item events act from the next cut on.
    """

    spec: Spec
    searchify: Searchify
    name: str = "resolve_by_item"

    def advance(self, state: Tables, events: Tables, cut: int) -> tuple[Tables, Tables]:
        """See `Step.advance`."""
        counts: Counter[str] = Counter()
        catalogue = Catalogue.of(self.spec, state).settle(cut, counts)
        requests = Requests.of(events.get("shown", SHOWN.empty_table()).combine_chunks())
        wanted = events.get("wanted", WANTED.empty_table()).combine_chunks()
        oldest_ms = self._oldest_ms(requests.shown, wanted)
        shown = Shown.of(state).seen(requests, oldest_ms)
        texts = self._texts(catalogue, wanted)
        outputs = self._answers(shown, requests, wanted, texts, counts)
        catalogue = catalogue.absorbed(cut)
        if "item" in events:
            catalogue = catalogue.with_events(events["item"], cut)
        return catalogue.state() | shown.counted(requests, oldest_ms).state(), outputs

    def _oldest_ms(self, shown: pa.Table, wanted: pa.Table) -> int:
        """Where the memory of the first of these windows begins; none later asks further back."""
        starts = [
            table["window_start_ms"].to_numpy().min(initial=_LAST) for table in (shown, wanted)
        ]
        return int(min(starts)) - self.searchify.query_memory * self.spec.window.length_ms

    def _texts(self, catalogue: Catalogue, wanted: pa.Table) -> pa.Table:
        """What each candidate's item was called."""
        cut = wanted["window_start_ms"].to_numpy() + self.spec.window.cut(0)
        rows = catalogue.before(wanted["item"].to_numpy(), wanted["time_ms"].to_numpy(), cut)
        texts = catalogue.texts(rows)
        keys = {name: wanted[name] for name in TEXTS.names if name in WANTED.names}
        return _table(keys | {name: texts[name] for name in texts.column_names}, TEXTS)

    def _answers(
        self,
        shown: Shown,
        requests: Requests,
        wanted: pa.Table,
        texts: pa.Table,
        counts: Counter[str],
    ) -> dict[str, pa.Table]:
        positive = pa.array(wanted["origin"].to_numpy() == ORIGIN_CODES["searchified_positive"])
        questions, titles = wanted.filter(positive), texts.filter(positive)["title"]
        own, frequent, word, share = self._queries(shown, requests, questions)
        found = own | frequent
        counts["query/own"] += int(own.sum())
        counts["query/co_occurrence"] += int(frequent.sum())
        path = np.where(own, QUERY_PATH_CODES["own"], QUERY_PATH_CODES["co_occurrence"])
        keys = {name: questions[name] for name in ("window_start_ms", "user", "id")}
        left = keys | {"time_ms": questions["time_ms"], "title": titles}
        answered = {name: column.filter(pa.array(found)) for name, column in keys.items()} | {
            "query": shown.texts(word[found]),
            "path": pa.array(path[found].astype(np.int32)),
            "score": pa.array(np.where(own, 1.0, share)[found]),
        }
        return {
            "texts": texts,
            "answers": _table(answered, ANSWERS),
            "unanswered": _table(left, UNANSWERED).filter(pa.array(~found)),
            "counts": counted(counts),
        }

    def _queries(
        self, shown: Shown, requests: Requests, questions: pa.Table
    ) -> tuple[Bools, Bools, Ints, Floats]:
        """Which questions the user's own query answers, which a frequent one; it, and its share."""
        start_ms = questions["window_start_ms"].to_numpy()
        since_ms = start_ms - self.searchify.query_memory * self.spec.window.length_ms
        user, item, time_ms = (questions[n].to_numpy() for n in ("user", "item", "time_ms"))
        asked = Asked(user, item, time_ms, since_ms)
        own, word = own_queries(shown, asked)
        frequent, share = np.zeros(len(own), np.bool_), np.zeros(len(own))
        frequent[~own], word[~own], share[~own] = frequent_queries(
            shown, requests, asked.take(~own)
        )
        return own, frequent, word, share


_LAST = np.iinfo(np.int64).max


def _table(columns: dict[str, pa.ChunkedArray], schema: pa.Schema) -> pa.Table:
    return pa.table([columns[name] for name in schema.names], schema=schema)
