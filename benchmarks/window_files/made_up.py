"""One sealed window of made-up users: columns of records at random."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from schemas.hashing import hash_strings, shard_of
from schemas.record import candidates_type, request_type, sequence_type, user_window_schema
from schemas.spec import Spec, parse
from schemas.windows import BuildInfo, seal, window_name, write_shard

START_MS = 1_651_370_400_000
HOUR_MS = 3_600_000
SHARDS = 4
HISTORY, RECENT, REQUESTS, CANDIDATES = 100, 3, 3, 3
TASKS = ("click", "long_view", "like", "follow", "comment", "forward", "buy")
FEATURES = {
    **{f"user_{n}": ("user", "id") for n in range(5)},
    "user_interests": ("user", "ids"),
    **{f"context_{n}": ("context", "id") for n in range(2)},
    "query_words": ("query", "ids"),
    **{f"item_{n}": ("item", "id") for n in range(5)},
    "item_tags": ("item", "ids"),
    **{f"item_number_{n}": ("item", "number") for n in range(2)},
    **{f"cross_{n}": ("cross", "number") for n in range(3)},
}


def build_spec() -> Spec:
    """A product with 20 features, 7 tasks and sequences that carry two features."""
    tasks = "".join(f'{name} = {{ stream = "click", horizon = "10m" }}\n' for name in TASKS)
    features = "".join(
        f'{name} = {{ owner = "{owner}", type = "{kind}" }}\n'
        for name, (owner, kind) in FEATURES.items()
    )
    return parse(
        'name = "bench"\n[window]\nlength = "1h"\n'
        '[streams]\nexposure = { kind = "exposure" }\nclick = { kind = "click" }\n'
        f'[domains.feed]\nscenarios = ["home"]\n[tasks]\n{tasks}[features]\n{features}'
        f'[sequences]\nstreams = ["click"]\nhistory = {HISTORY}\nrecent = {RECENT}\n'
        'features = ["item_0", "item_tags"]\n'
    )


def write_window(root: Path, spec: Spec, users: int) -> None:
    """Seal one window of made-up users."""
    table = Maker(np.random.default_rng(7), spec).users(users)
    shards = shard_of(hash_strings(table["user_id"]), SHARDS)
    folder = root / window_name(START_MS)
    entries = [
        write_shard(folder, shard, table.filter(pa.array(shards == shard)), spec)
        for shard in range(SHARDS)
    ]
    build = BuildInfo("bench", None, 0, 0)
    cut_ms = spec.window.cut(START_MS)
    manifest = seal(root, START_MS, cut_ms, spec, entries, build, shards=SHARDS)
    size = sum(file.bytes for file in manifest.files)
    print(f"{users} users, {manifest.counts.samples} samples, {size / users:,.0f} bytes a user")


@dataclasses.dataclass(frozen=True)
class Maker:
    """Makes columns of records at random: ids of a catalogue, three labels in ten credited."""

    rng: np.random.Generator
    spec: Spec

    def users(self, n: int) -> pa.Table:
        """n users, sorted by id."""
        user_id = pa.array([f"user-{number:07d}" for number in range(n)])
        requests = self._requests(n * REQUESTS)
        columns = {
            "user_id": user_id,
            "user": pa.array(hash_strings(user_id)),
            "window_start_ms": pa.array(np.full(n, START_MS)),
            "history": self._arrays(sequence_type(self.spec), n, HISTORY, START_MS - HOUR_MS),
            "recent": self._arrays(sequence_type(self.spec), n, RECENT, START_MS),
            "requests": _cut(requests, n, REQUESTS),
        }
        return pa.table(columns).cast(user_window_schema(self.spec))

    def _requests(self, n: int) -> pa.StructArray:
        candidates = self._arrays(candidates_type(self.spec), n, CANDIDATES, START_MS)
        columns = [
            candidates if field.name == "candidates" else self._column(field, n, START_MS)
            for field in request_type(self.spec)
        ]
        return pa.StructArray.from_arrays(columns, fields=list(request_type(self.spec)))

    def _arrays(self, kind: pa.StructType, n: int, length: int, start_ms: int) -> pa.StructArray:
        """A struct of n arrays, each of that length."""
        columns = [
            self._arrays(field.type, n, length, start_ms)
            if pa.types.is_struct(field.type)
            else _cut(self._column(_inner(field), n * length, start_ms), n, length)
            for field in kind
        ]
        return pa.StructArray.from_arrays(columns, fields=list(kind))

    def _column(self, field: pa.Field, n: int, start_ms: int) -> pa.Array:
        if pa.types.is_list(field.type):
            return _cut(self._column(_inner(field), 2 * n, start_ms), n, 2)
        mask = self.rng.random(n) < 0.7 if field.nullable else None
        return pa.array(self._numbers(field, n, start_ms), mask=mask).cast(field.type)

    def _numbers(self, field: pa.Field, n: int, start_ms: int) -> Any:
        if field.name == "time_ms":
            return start_ms + np.arange(n) % HOUR_MS
        if pa.types.is_floating(field.type):
            return self.rng.random(n).round(3)
        if pa.types.is_boolean(field.type):
            return self.rng.random(n) < 0.5
        drawn = self.rng.integers(0, 4 if field.type == pa.int32() else 50_000, n)
        return drawn * np.int64(184_467_440_737_095) if field.type == pa.int64() else drawn


def _inner(field: pa.Field) -> pa.Field:
    item = field.type.value_field
    return pa.field(field.name, item.type, nullable=item.nullable)


def _cut(values: pa.Array, n: int, length: int) -> pa.ListArray:
    """n lists of that length each."""
    offsets = pa.array(np.arange(n + 1) * length, pa.int32())
    inner = pa.field("item", values.type, nullable=values.null_count > 0)
    return pa.ListArray.from_arrays(offsets, values, type=pa.list_(inner))
