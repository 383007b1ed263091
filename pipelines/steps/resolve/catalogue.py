"""The items as they were known at any time: a slowly changing catalogue (rules 8 and 10)."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa

from pipelines.arrays import Ints
from pipelines.steps.attribute.dedupe import survivors
from pipelines.steps.datums import avro_digests
from pipelines.steps.first_at import first_at
from pipelines.steps.ragged import mix
from schemas.events import arrow_schema
from schemas.hashing import hash_strings
from schemas.spec import Spec


@dataclass(frozen=True)
class Catalogue:
    """`settled`: versions by (item, time), of equal ones the preferred last; `arrived`: the rest.

    Both are item events with `item`, the hash of the id, and `settle_ms`, the cut from which on
    a version is known.
    """

    spec: Spec
    settled: pa.Table
    arrived: pa.Table

    @classmethod
    def of(cls, spec: Spec, settled: pa.Table | None, arrived: pa.Table | None) -> "Catalogue":
        """From its tables; None stands for one without rows."""
        nothing = _schema(spec).empty_table()
        return cls(spec, nothing if settled is None else settled, arrived or nothing)

    def with_events(self, events: pa.Table, last_cut: int) -> "Catalogue":
        """With events read while `last_cut` was the last cut: late ones act from the next on."""
        window, schema = self.spec.window, _schema(self.spec)
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
        return Catalogue(self.spec, self.settled, pa.concat_tables([self.arrived, rows]))

    def settle(self, cut: int, counts: Counter[str]) -> "Catalogue":
        """With what is known at `cut`; of copies of one (item, time) one lives."""
        due = self.arrived["settle_ms"].to_numpy() <= cut
        if not due.any():
            return self
        fresh = self.arrived.filter(pa.array(due)).combine_chunks()
        reach_ms = self.spec.window.length_ms + self.spec.memory_ms
        alive = survivors(
            _keys(self.settled),
            (*_keys(fresh), fresh["settle_ms"].to_numpy()),
            reach_ms,
            lambda rows: avro_digests(fresh.take(pa.array(rows)), self.spec, _stream(self.spec)),
        )
        fresh = fresh.filter(pa.array(alive))
        counts["duplicate"] += int((~alive).sum())
        counts[f"late/{_stream(self.spec)}"] += int(fresh["late"].to_numpy().sum())
        waiting = self.arrived.filter(pa.array(~due))
        return Catalogue(self.spec, self._merged(fresh), waiting)

    def _merged(self, fresh: pa.Table) -> pa.Table:
        """All versions in order; two of one (item, time) by falling digest."""
        rows = pa.concat_tables([self.settled, fresh]).combine_chunks()
        item, time_ms = rows["item"].to_numpy(), rows["time_ms"].to_numpy()
        order = np.lexsort((time_ms, item))
        same = (np.diff(item[order]) == 0) & (np.diff(time_ms[order]) == 0)
        if same.any():
            tied = np.unique(np.concatenate([order[:-1][same], order[1:][same]]))
            digests = avro_digests(rows.take(pa.array(tied)), self.spec, _stream(self.spec))
            rank = np.zeros(len(order), np.int64)
            rank[tied[np.argsort(np.array(digests, "S32"), kind="stable")]] = -np.arange(len(tied))
            order = np.lexsort((rank, time_ms, item))
        return rows.take(pa.array(order))

    def before(self, item: Ints, time_ms: Ints, cut: Ints) -> Ints:
        """The row of each item's last version before a time, as known at a cut; -1 for none."""
        settled = self.settled
        items, settle_ms = settled["item"].to_numpy(), settled["settle_ms"].to_numpy()
        row = first_at(items, settled["time_ms"].to_numpy(), item, time_ms) - 1
        while True:
            held = row >= 0
            held[held] = items[row[held]] == item[held]
            unknown = held.copy()
            unknown[held] = settle_ms[row[held]] > cut[held]
            if not unknown.any():
                return np.where(held, row, -1)
            row[unknown] -= 1

    def texts(self, rows: Ints) -> pa.Table:
        """`title` and `text`, the title with the item features of the spec, of some versions."""
        target = self.spec.target
        named = target.searchify.text if target and target.searchify else ()
        shown = self.settled.select(["title", *named]).take(pa.array(rows, mask=rows < 0))
        frame = pl.DataFrame(pl.from_arrow(shown))
        words = [pl.col("title"), *(_words(name, frame.schema[name]) for name in named)]
        text = pl.concat_str(words, separator=" ", ignore_nulls=True)
        frame = frame.select("title", text=pl.when(pl.col("title").is_not_null()).then(text))
        return frame.to_arrow().cast(pa.schema([("title", pa.string()), ("text", pa.string())]))


def _words(name: str, kind: pl.DataType) -> pl.Expr:
    if not isinstance(kind, pl.List):
        return pl.col(name)
    return pl.when(pl.col(name).list.len() > 0).then(pl.col(name).list.join(" "))


def _stream(spec: Spec) -> str:
    return spec.of_kind("item")[0].name


def _schema(spec: Spec) -> pa.Schema:
    schema = arrow_schema(spec, _stream(spec))
    for name, kind in (("item", pa.int64()), ("settle_ms", pa.int64()), ("late", pa.bool_())):
        schema = schema.append(pa.field(name, kind, nullable=False))
    return schema


def _keys(rows: pa.Table) -> tuple[Ints, Ints]:
    time_ms = rows["time_ms"].to_numpy()
    return mix(rows["item"].to_numpy(), time_ms), time_ms
