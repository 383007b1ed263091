"""The states of steps 2 and 3 under a spec that has grown, and dealt out to other shards."""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.arrays import Ints
from pipelines.steps.conform import conformed
from pipelines.steps.resolve.catalogue import version_schema
from pipelines.steps.resolve.route import CELL
from pipelines.steps.segments import Segments
from pipelines.steps.step import SEGMENT, Tables
from schemas.hashing import shard_of
from schemas.spec import Spec

_VERSIONS = (f"{SEGMENT}known-", f"{SEGMENT}arrived-")
_LATEST = f"{SEGMENT}latest-"


def migrated(state: Tables, spec: Spec) -> Tables:
    """Versions of items have nulls in new features; what users saw names no item if it did not."""
    tables = dict(state)
    for name, table in state.items():
        if name.startswith(_VERSIONS):
            tables[name] = conformed(table, version_schema(spec))
        elif name.startswith(_LATEST) and "item" not in table.column_names:
            tables[name] = table.append_column("item", pa.nulls(table.num_rows, pa.int64()))
    return tables


def resharded(states: Iterable[Tables], shard: int, shards: int) -> Tables:
    """The state of one shard of items, from the states of all old shards.

    What a user saw goes to every shard where nobody knows the item: it is asked for by user and
    item, hence found in the right one, and forgotten with the memory of queries. Of queries only
    those stay that other rows name.
    """
    tables: dict[str, list[pa.Table]] = {kind: [] for kind in (*_BY_ITEM, "words")}
    for state in states:
        for kind in _BY_ITEM:
            tables[kind] += [_of(table, shard, shards) for table in Segments.of(kind, state)]
        tables["words"] += Segments.of("words", state)
    named = [table["word"].to_numpy() for kind in _NAMING for table in tables[kind]]
    words = np.unique(np.concatenate([np.empty(0, np.int64), *named]))
    tables["words"] = [_among(table, words) for table in tables["words"]]
    return {name: table for kind, some in tables.items() for name, table in _state(kind, some)}


def resharded_cells(states: Iterable[Tables], shard: int) -> Tables:
    """There is one cell however many shards there are."""
    return next(iter(states), {}) if shard == CELL else {}


_BY_ITEM = ("known", "arrived", "latest", "counts")
_NAMING = ("latest", "counts")


def _of(table: pa.Table, shard: int, shards: int) -> pa.Table:
    item = table["item"].combine_chunks()
    mine = shard_of(pc.fill_null(item, 0).to_numpy(), shards) == shard
    return table.filter(pa.array(mine | np.asarray(item.is_null())))


def _among(table: pa.Table, words: Ints) -> pa.Table:
    return table.filter(pa.array(np.isin(table["word"].to_numpy(), words)))


def _state(kind: str, tables: list[pa.Table]) -> Iterable[tuple[str, pa.Table]]:
    """The tables as segments, long ones first, as merging leaves them."""
    held = sorted((table for table in tables if table.num_rows), key=len, reverse=True)
    ordered = {at: table.combine_chunks() for at, table in enumerate(held)}
    return Segments(kind, len(ordered), ordered).state().items()
