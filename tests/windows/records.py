"""Records of a small shop: any that the schema allows, and valid windows of any size."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

from schemas.hashing import hash_one, hash_strings, shard_of
from schemas.record import revision_schema, user_window_schema
from schemas.spec import Spec, parse
from schemas.windows import (
    BuildInfo,
    FileEntry,
    Manifest,
    seal,
    window_name,
    write_revisions,
    write_shard,
)

Record = dict[str, Any]

SPEC_TEXT = """
name = "shop"
[window]
length = "1h"
maturity = "10m"
[streams]
exposure = { kind = "exposure" }
click = { kind = "click" }
buy = { kind = "conversion" }
item = { kind = "item" }
[domains.search]
scenarios = ["search"]
[domains.feed]
scenarios = ["home"]
[tasks]
click = { stream = "click", horizon = "10m" }
buy = { stream = "buy", horizon = "30m", domains = ["search"] }
[features]
segment = { owner = "user", type = "id" }
interests = { owner = "user", type = "ids" }
age = { owner = "user", type = "number" }
hour = { owner = "context", type = "id" }
words = { owner = "query", type = "ids" }
brand = { owner = "item", type = "id" }
tags = { owner = "item", type = "ids" }
price = { owner = "item", type = "number" }
match = { owner = "cross", type = "number" }
[sequences]
streams = ["click", "buy"]
history = 20
recent = 5
features = ["brand", "tags", "price"]
"""

SPEC = parse(SPEC_TEXT, "shop.toml")
HOUR_MS = 3_600_000
START_MS = 1_651_370_400_000
BUILD = BuildInfo("tests", START_MS + 2 * HOUR_MS, 1, 2)

_CODES = {"origin": 4, "tier": 6}
_PRIMITIVES: dict[pa.DataType, st.SearchStrategy[Any]] = {
    pa.string(): st.text(max_size=6),
    pa.int64(): st.integers(-(1 << 63), (1 << 63) - 1),
    pa.int32(): st.integers(0, 1 << 20),
    pa.float64(): st.floats(allow_nan=False),
    pa.bool_(): st.booleans(),
}


@st.composite
def user_tables(draw: st.DrawFn, spec: Spec = SPEC, max_users: int = 5) -> pa.Table:
    """Sorted users with any content that the schema allows, in no order of time."""
    schema = user_window_schema(spec)
    ids = draw(st.lists(st.text(max_size=8), unique=True, max_size=max_users))
    rows = [_any_user(draw, schema, user_id) for user_id in sorted(ids, key=str.encode)]
    return pa.Table.from_pylist(rows, schema=schema)


def _any_user(draw: st.DrawFn, schema: pa.Schema, user_id: str) -> Record:
    row = draw(_struct(pa.struct(list(schema)), None))
    return {**row, "user_id": user_id, "user": hash_one(user_id), "window_start_ms": START_MS}


@st.composite
def _struct(draw: st.DrawFn, kind: pa.StructType, length: int | None) -> Record:
    """A struct; in a struct of arrays every list has the same length."""
    position = kind.get_field_index("item")
    if position >= 0 and pa.types.is_list(kind.field(position).type):
        length = draw(st.integers(0, 3))
    return {field.name: draw(_field(field, length)) for field in kind}


def _field(field: pa.Field, length: int | None) -> st.SearchStrategy[Any]:
    if pa.types.is_struct(field.type):
        return _struct(field.type, length)
    if pa.types.is_list(field.type):
        inner = pa.field(field.name, field.type.value_type, field.type.value_field.nullable)
        least, most = (0, 3) if length is None else (length, length)
        return st.lists(_field(inner, None), min_size=least, max_size=most)
    if field.name in _CODES:
        value = st.integers(0, _CODES[field.name] - 1)
    else:
        value = _PRIMITIVES[field.type]
    return st.none() | value if field.nullable else value


def _hashes(rng: np.random.Generator, n: int) -> list[int]:
    return [int(value) for value in rng.integers(-(1 << 63), (1 << 63) - 1, n)]


def window_rows(users: int, seed: int = 0, start_ms: int = START_MS) -> list[Record]:
    """Users of a valid window, sorted: in the order of rule 12, with hashes that are right."""
    rng = np.random.default_rng(seed)
    rows = [_user(rng, f"käufer-{number:05d}", start_ms) for number in range(users)]
    return sorted(rows, key=lambda row: row["user_id"].encode())


def _user(rng: np.random.Generator, user_id: str, start_ms: int) -> Record:
    return {
        "user_id": user_id,
        "user": hash_one(user_id),
        "window_start_ms": start_ms,
        "history": _sequence(rng, start_ms - HOUR_MS, int(rng.integers(0, 12))),
        "recent": _sequence(rng, start_ms, int(rng.integers(0, 4))),
        "requests": [_request(rng, start_ms, n) for n in range(int(rng.integers(1, 4)))],
    }


def _sequence(rng: np.random.Generator, start_ms: int, n: int) -> Record:
    return {
        "time_ms": sorted(int(start_ms + t) for t in rng.integers(0, HOUR_MS, n)),
        "item": _hashes(rng, n),
        "action": _hashes(rng, n),
        "scenario": [None if rng.random() < 0.3 else value for value in _hashes(rng, n)],
        "brand": [None if rng.random() < 0.3 else value for value in _hashes(rng, n)],
        "tags": [_hashes(rng, int(rng.integers(0, 3))) for _ in range(n)],
        "price": [None if rng.random() < 0.3 else float(rng.random()) for _ in range(n)],
    }


def _request(rng: np.random.Generator, start_ms: int, number: int) -> Record:
    n = int(rng.integers(0, 5))
    return {
        "id": f"r{number}",
        "time_ms": start_ms + number * 1000,
        "scenario": "search",
        "domain": "search",
        "origin_domain": "search",
        "query": None if rng.random() < 0.3 else "rote schuhe",
        "segment": _hashes(rng, 1)[0],
        "interests": _hashes(rng, 2),
        "age": None if rng.random() < 0.5 else 31.0,
        "hour": None,
        "words": _hashes(rng, 1),
        "candidates": candidates(n, item=_hashes(rng, n)),
    }


def candidates(n: int, **given: Any) -> Record:
    """n exposed candidates without labels; `given` replaces columns."""
    return {
        "item": list(range(n)),
        "item_id": [f"i{number}" for number in range(n)],
        "origin": [0] * n,
        "position": list(range(n)),
        "probability": [1.0] * n,
        "brand": [7] * n,
        "tags": [[1, 2]] * n,
        "price": [None] * n,
        "match": [0.5] * n,
        "labels": {task: labels(n) for task in SPEC.tasks},
        **given,
    }


def labels(n: int, value: float | None = 0.0, tier: int | None = None) -> Record:
    """n equal labels of one task."""
    return {
        "value": [value] * n,
        "tier": [tier] * n,
        "event_id": [None if tier is None else "e"] * n,
        "time_ms": [None if tier is None else START_MS] * n,
        "open": [False] * n,
    }


def revision(user_id: str, window_start_ms: int, item_id: str = "i0", task: str = "buy") -> Record:
    """One revision of a sample of an earlier window: bought after the cut."""
    return {
        "window_start_ms": window_start_ms,
        "user_id": user_id,
        "user": hash_one(user_id),
        "request_time_ms": window_start_ms + 1,
        "request_id": "r0",
        "item_id": item_id,
        "task": task,
        "old_value": 0.0,
        "old_tier": None,
        "old_event_id": None,
        "old_time_ms": None,
        "old_open": True,
        "new_value": 1.0,
        "new_tier": 0,
        "new_event_id": "é",
        "new_time_ms": window_start_ms + 5,
        "new_open": False,
        "retraction": False,
        "late": True,
    }


def users_table(rows: list[Record], spec: Spec = SPEC) -> pa.Table:
    """Rows as a table of the spec's records."""
    return pa.Table.from_pylist(rows, schema=user_window_schema(spec))


def revisions_table(rows: list[Record]) -> pa.Table:
    """Rows as a table of revisions."""
    return pa.Table.from_pylist(rows, schema=revision_schema())


def write_files(
    root: Path,
    rows: list[Record],
    revisions: list[Record],
    shards: int = 3,
    start_ms: int = START_MS,
) -> list[FileEntry]:
    """All files of a window, users and revisions in the shards where they belong."""
    folder = root / window_name(start_ms)
    return [
        entry
        for shard in range(shards)
        for entry in (
            write_shard(folder, shard, _of_shard(users_table(rows), shard, shards), SPEC),
            write_revisions(
                folder, shard, _of_shard(revisions_table(revisions), shard, shards), SPEC
            ),
        )
    ]


def seal_window(
    root: Path,
    rows: list[Record],
    revisions: list[Record] | None = None,
    shards: int = 3,
    start_ms: int = START_MS,
) -> Manifest:
    """Write and seal a window."""
    entries = write_files(root, rows, revisions or [], shards, start_ms)
    return seal(root, start_ms, SPEC.window.cut(start_ms), SPEC, entries, BUILD, shards=shards)


def in_shard_order(rows: list[Record], shards: int = 3) -> list[Record]:
    """The rows in the order in which a store reads them."""
    table = users_table(rows)
    return [row for n in range(shards) for row in _of_shard(table, n, shards).to_pylist()]


def _of_shard(table: pa.Table, shard: int, shards: int) -> pa.Table:
    if table.num_rows == 0:
        return table
    return table.filter(pa.array(shard_of(hash_strings(table["user_id"]), shards) == shard))
