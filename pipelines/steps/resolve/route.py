"""Which shard each row goes to next: of its item, of the one cell, or of its user."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from pipelines.steps.step import Tables
from schemas.hashing import shard_of

CELL = 0
"""The only cell: the embedded driver keeps the whole query corpus in one place."""

TO_ITEMS = ("item", "wanted", "shown")
TO_CELL = ("queries", "unanswered")
TO_USERS = ("texts", "answers")
STAYING = ("requests", "revisions", "actions", "pseudo")

Routed = Iterator[tuple[int, dict[str, pa.Table]]]


def to_items(tables: Tables, shards: int) -> Routed:
    """What is asked about items, and which queries showed them, by shard of items."""
    return _split(tables, TO_ITEMS, "item", shards)


def to_users(tables: Tables, shards: int) -> Routed:
    """What was found about pseudo-requests, by shard of users."""
    return _split(tables, TO_USERS, "user", shards)


def to_cell(tables: Tables) -> Routed:
    """Queries, and the questions that only their corpus can answer."""
    found = {name: tables[name] for name in TO_CELL if name in tables and tables[name].num_rows}
    if found:
        yield CELL, found


def staying(tables: Tables) -> dict[str, pa.Table]:
    """What the last step wants of the first one, in the same shard."""
    return {name: tables[name] for name in STAYING if name in tables}


def _split(tables: Tables, names: tuple[str, ...], key: str, shards: int) -> Routed:
    parts: dict[int, dict[str, pa.Table]] = {}
    for name in names:
        table = tables.get(name)
        if table is None or not table.num_rows:
            continue
        shard = shard_of(table[key].to_numpy(), shards)
        order = np.argsort(shard, kind="stable")
        ordered = table.take(pa.array(order))
        bounds = np.searchsorted(shard[order], np.arange(shards + 1))
        for one in np.flatnonzero(np.diff(bounds)).tolist():
            part = ordered.slice(bounds[one], bounds[one + 1] - bounds[one])
            parts.setdefault(one, {})[name] = part
    yield from sorted(parts.items())
