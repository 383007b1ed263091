"""Step 2, by item: what items were called, and which queries had shown them (rule 10)."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipelines.steps.resolve.catalogue import Catalogue
from pipelines.steps.resolve.queries import Asked, frequent_queries, own_queries, taken
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
        catalogue = Catalogue.of(self.spec, state.get("catalogue"), state.get("arrived"))
        catalogue = catalogue.settle(cut, counts)
        shown = pa.concat_tables([t["shown"] for t in (state, events) if "shown" in t] or [_NONE])
        wanted = events.get("wanted", WANTED.empty_table()).combine_chunks()
        outputs = self._answer(catalogue, shown.combine_chunks(), wanted, counts)
        if "item" in events:
            catalogue = catalogue.with_events(events["item"], cut)
        known = {"catalogue": catalogue.settled, "arrived": catalogue.arrived}
        return known | {"shown": self._remembered(shown, cut)}, outputs

    def _answer(
        self, catalogue: Catalogue, shown: pa.Table, wanted: pa.Table, counts: Counter[str]
    ) -> dict[str, pa.Table]:
        start_ms = wanted["window_start_ms"].to_numpy()
        cut = start_ms + self.spec.window.cut(0)
        rows = catalogue.before(wanted["item"].to_numpy(), wanted["time_ms"].to_numpy(), cut)
        texts = catalogue.texts(rows)
        keys = {name: wanted[name] for name in TEXTS.names if name in WANTED.names}
        columns = keys | {name: texts[name] for name in texts.column_names}
        table = pa.table([columns[name] for name in TEXTS.names], schema=TEXTS)
        positive = wanted["origin"].to_numpy() == ORIGIN_CODES["searchified_positive"]
        questions, titles = wanted.filter(pa.array(positive)), table.filter(pa.array(positive))
        answers, unanswered = self._queries(shown, questions, titles["title"])
        for path in ("own", "co_occurrence"):
            found = answers["path"].to_numpy() == QUERY_PATH_CODES[path]
            counts[f"query/{path}"] += int(found.sum())
        told = {"texts": table, "answers": answers, "unanswered": unanswered}
        return told | {"counts": counted(counts)}

    def _queries(
        self, shown: pa.Table, questions: pa.Table, titles: pa.ChunkedArray
    ) -> tuple[pa.Table, pa.Table]:
        start_ms = questions["window_start_ms"].to_numpy()
        since_ms = start_ms - self.searchify.query_memory * self.spec.window.length_ms
        user, item, time_ms = (questions[n].to_numpy() for n in ("user", "item", "time_ms"))
        asked = Asked(user, item, time_ms, since_ms)
        own = own_queries(shown, asked)
        other, share = frequent_queries(shown, asked)
        row = np.where(own >= 0, own, other)
        codes = [QUERY_PATH_CODES["own"], QUERY_PATH_CODES["co_occurrence"]]
        answers = {
            "query": taken(shown["query"], row),
            "path": pa.array(np.where(own >= 0, *codes).astype(np.int32)),
            "score": pa.array(np.where(own >= 0, 1.0, share)),
        }
        open_ = pa.array(row < 0)
        keyed = {name: questions[name] for name in ("window_start_ms", "user", "id")}
        found = _table(keyed | answers, ANSWERS).filter(pa.array(row >= 0))
        left = keyed | {"time_ms": questions["time_ms"], "title": titles}
        return found, _table(left, UNANSWERED).filter(open_)

    def _remembered(self, shown: pa.Table, cut: int) -> pa.Table:
        """What a window that is sealed after `cut` can still ask for."""
        window = self.spec.window
        next_start_ms = window.window_of_cut(cut) + window.length_ms
        oldest = next_start_ms - self.searchify.query_memory * window.length_ms
        return shown.filter(pa.array(shown["window_start_ms"].to_numpy() >= oldest))


_NONE = SHOWN.empty_table()


def _table(columns: dict[str, pa.ChunkedArray], schema: pa.Schema) -> pa.Table:
    return pa.table([columns[name] for name in schema.names], schema=schema)
