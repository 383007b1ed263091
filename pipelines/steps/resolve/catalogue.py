"""The items as they were known at any time: a slowly changing catalogue (rules 8 and 10)."""

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from pipelines.arrays import Ints
from pipelines.steps.attribute.dedupe import survivors
from pipelines.steps.datums import avro_digests
from pipelines.steps.first_at import first_at
from pipelines.steps.ragged import mix, runs
from pipelines.steps.segments import Segments
from pipelines.steps.step import Tables
from schemas.events import arrow_schema
from schemas.hashing import hash_strings
from schemas.spec import Spec

_NEVER = np.iinfo(np.int64).min


@dataclass(frozen=True)
class Catalogue:
    """`known`: versions by (item, time), of equal ones the preferred last; `arrived`: those that
    wait for their cut, by it; `fresh`: those that this call settled, in order like the known ones.

    All are item events with `item`, the hash of the id, and `settle_ms`, the cut from which on
    a version is known.
    """

    spec: Spec
    known: Segments
    arrived: Segments
    fresh: pa.Table

    @classmethod
    def of(cls, spec: Spec, state: Tables) -> "Catalogue":
        """Out of a step's state."""
        known, arrived = (Segments.of(kind, state) for kind in ("known", "arrived"))
        return cls(spec, known, arrived, version_schema(spec).empty_table())

    def state(self) -> dict[str, pa.Table]:
        """The tables of a step's state."""
        return self.known.state() | self.arrived.state()

    def with_events(self, events: pa.Table, last_cut: int) -> "Catalogue":
        """With events read while `last_cut` was the last cut: late ones act from the next on."""
        window, schema = self.spec.window, version_schema(self.spec)
        time_ms = events["time_ms"].to_numpy()
        length, maturity = window.length_ms, window.maturity_ms
        on_time = -((maturity - time_ms) // length) * length + maturity
        settle_ms = np.where(time_ms <= last_cut, last_cut + length, on_time)
        columns = {
            **{name: events[name] for name in arrow_schema(self.spec, _stream(self.spec)).names},
            "item": pa.array(hash_strings(events["item_id"])),
            "settle_ms": pa.array(settle_ms),
            "late": pa.array(time_ms <= last_cut),
        }
        rows = pa.table([columns[name] for name in schema.names], schema=schema)
        return replace(self, arrived=self.arrived.with_rows(rows, _by_cut))

    def settle(self, cut: int, counts: Counter[str]) -> "Catalogue":
        """With what is known at `cut`; of copies of one (item, time) one lives."""
        due, arrived = self._due(cut)
        if not due.num_rows:
            return self
        reach_ms = self.spec.window.length_ms + self.spec.memory_ms
        alive = survivors(
            self._remembered(due),
            (*_keys(due), due["settle_ms"].to_numpy()),
            reach_ms,
            lambda rows: avro_digests(due.take(pa.array(rows)), self.spec, _stream(self.spec)),
        )
        counts["duplicate"] += int((~alive).sum())
        living = due.filter(pa.array(alive))
        counts[f"late/{_stream(self.spec)}"] += int(living["late"].to_numpy().sum())
        return replace(self, arrived=arrived, fresh=self._ordered(living))

    def _due(self, cut: int) -> tuple[pa.Table, Segments]:
        """What waits for cuts up to this one, and the rest."""
        due, later, left = [self.fresh], [self.fresh], self.arrived
        for at, table in self.arrived.tables.items():
            first_later = np.searchsorted(table["settle_ms"].to_numpy(), cut, side="right")
            if first_later:
                due.append(table.slice(0, first_later))
                later.append(table.slice(first_later))
                left = left.without(at)
        waiting = left.with_rows(pa.concat_tables(later), _by_cut)
        return pa.concat_tables(due).combine_chunks(), waiting

    def _remembered(self, due: pa.Table) -> tuple[Ints, Ints]:
        """Keys of what is known of the same items and times."""
        item, time_ms = due["item"].to_numpy(), due["time_ms"].to_numpy()
        found = [(np.empty(0, np.int64), np.empty(0, np.int64))]
        for table in self.known:
            items, times = table["item"].to_numpy(), table["time_ms"].to_numpy()
            first = first_at(items, times, item, time_ms)
            rows = np.unique(runs(first, first_at(items, times, item, time_ms + 1) - first))
            found.append(_keys(table.take(pa.array(rows))))
        keys, times = zip(*found, strict=True)
        return np.concatenate(keys), np.concatenate(times)

    def _ordered(self, rows: pa.Table) -> pa.Table:
        """In order; two of one (item, time) by falling digest."""
        rows = rows.combine_chunks()
        item, time_ms = rows["item"].to_numpy(), rows["time_ms"].to_numpy()
        order = np.lexsort((time_ms, item))
        same = (np.diff(item[order]) == 0) & (np.diff(time_ms[order]) == 0)
        if same.any():
            tied = np.unique(np.concatenate([order[:-1][same], order[1:][same]]))
            rank = np.zeros(len(order), np.int64)
            rank[tied] = self._preference(rows.take(pa.array(tied)))
            order = np.lexsort((rank, time_ms, item))
        return rows.take(pa.array(order)).combine_chunks()

    def _preference(self, rows: pa.Table) -> Ints:
        """Larger for smaller digests: of copies the one of the smallest counts."""
        digests = avro_digests(rows, self.spec, _stream(self.spec))
        rank = np.empty(len(digests), np.int64)
        rank[np.argsort(np.array(digests, "S32"), kind="stable")] = -np.arange(len(digests))
        return rank

    def before(self, item: Ints, time_ms: Ints, cut: Ints) -> Ints:
        """The row of each item's last version before a time, as known at a cut; -1 for none.

        Rows are those of all tables, one table after the other, the fresh ones last.
        """
        best, best_ms, base = np.full(len(item), -1), np.full(len(item), _NEVER), 0
        for table in (*self.known, self.fresh):
            row = _last_before(table, item, time_ms, cut)
            held = row >= 0
            row_ms = np.full(len(row), _NEVER)
            row_ms[held] = table["time_ms"].to_numpy()[row[held]]
            better, tied = row_ms > best_ms, np.flatnonzero(held & (row_ms == best_ms))
            if len(tied):
                better[tied] = self._digests(base + row[tied]) < self._digests(best[tied])
            best[better], best_ms[better] = base + row[better], row_ms[better]
            base += table.num_rows
        return best

    def texts(self, rows: Ints) -> pa.Table:
        """`title` and `text`, the title with the item features of the spec, of some versions."""
        target = self.spec.target
        named = target.searchify.text if target and target.searchify else ()
        shown = self._all().select(["title", *named]).take(pa.array(rows, mask=rows < 0))
        frame = pl.DataFrame(pl.from_arrow(shown))
        words = [pl.col("title"), *(_words(name, frame.schema[name]) for name in named)]
        text = pl.concat_str(words, separator=" ", ignore_nulls=True)
        frame = frame.select("title", text=pl.when(pl.col("title").is_not_null()).then(text))
        return frame.to_arrow().cast(pa.schema([("title", pa.string()), ("text", pa.string())]))

    def absorbed(self, cut: int) -> "Catalogue":
        """With the fresh versions among the known ones; questions up to `cut` are answered."""

        def merge(rows: pa.Table) -> pa.Table:
            return self._needed(self._ordered(rows), cut)

        known = self.known.with_rows(self.fresh, merge)
        return replace(self, known=known, fresh=self.fresh.slice(0, 0))

    def _needed(self, rows: pa.Table, cut: int) -> pa.Table:
        """Without versions that a later one hides from all questions to come.

        Of one (item, time) the preferred one stays. Others stay while copies of them are told.
        """
        window = self.spec.window
        next_start_ms = window.window_of_cut(cut) + window.length_ms
        forgotten_ms = cut - window.length_ms - self.spec.memory_ms
        item, time_ms = rows["item"].to_numpy(), rows["time_ms"].to_numpy()
        hidden = np.zeros(len(item), np.bool_)
        old = (time_ms[:-1] < forgotten_ms) & (time_ms[1:] < next_start_ms)
        hidden[:-1] = (item[:-1] == item[1:]) & (old | (time_ms[:-1] == time_ms[1:]))
        return rows.filter(pa.array(~hidden)).combine_chunks()

    def _all(self) -> pa.Table:
        return pa.concat_tables([*self.known, self.fresh])

    def _digests(self, rows: Ints) -> npt.NDArray[np.bytes_]:
        """The digests of some versions, to compare."""
        versions = self._all().take(pa.array(rows))
        return np.array(avro_digests(versions, self.spec, _stream(self.spec)), "S32")


def _last_before(table: pa.Table, item: Ints, time_ms: Ints, cut: Ints) -> Ints:
    """The row of a table with each item's last version before a time, known at a cut; or -1."""
    items, settle_ms = table["item"].to_numpy(), table["settle_ms"].to_numpy()
    row = first_at(items, table["time_ms"].to_numpy(), item, time_ms) - 1
    while True:
        held = row >= 0
        held[held] = items[row[held]] == item[held]
        unknown = held.copy()
        unknown[held] = settle_ms[row[held]] > cut[held]
        if not unknown.any():
            return np.where(held, row, -1)
        row[unknown] -= 1


def _by_cut(rows: pa.Table) -> pa.Table:
    order = np.argsort(rows["settle_ms"].to_numpy(), kind="stable")
    return rows.take(pa.array(order)).combine_chunks()


def _words(name: str, kind: pl.DataType) -> pl.Expr:
    if not isinstance(kind, pl.List):
        return pl.col(name)
    return pl.when(pl.col(name).list.len() > 0).then(pl.col(name).list.join(" "))


def _stream(spec: Spec) -> str:
    return spec.of_kind("item")[0].name


def version_schema(spec: Spec) -> pa.Schema:
    """A version of an item: the event, the item's hash, from which cut on it is known."""
    schema = arrow_schema(spec, _stream(spec))
    for name, kind in (("item", pa.int64()), ("settle_ms", pa.int64()), ("late", pa.bool_())):
        schema = schema.append(pa.field(name, kind, nullable=False))
    return schema


def _keys(rows: pa.Table) -> tuple[Ints, Ints]:
    time_ms = rows["time_ms"].to_numpy()
    return mix(rows["item"].to_numpy(), time_ms), time_ms
