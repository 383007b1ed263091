"""How fast sealed windows become flat arrays: the store against fastavro's dicts.

Both sides read the same files and end with equal `PackedUsers`; they take turns, and the median
of the repeats counts. One core each.
"""

import argparse
import dataclasses
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain, islice
from pathlib import Path
from typing import Any

import fastavro
import numpy as np
import pyarrow as pa

from schemas.hashing import hash_strings, shard_of
from schemas.record import candidates_type, request_type, sequence_type, user_window_schema
from schemas.spec import Spec, parse
from schemas.windows import (
    BuildInfo,
    Lists,
    PackedLabels,
    PackedRequests,
    PackedSamples,
    PackedSequence,
    PackedUsers,
    Values,
    WindowStore,
    pack,
    seal,
    window_name,
    write_shard,
)

GOAL = 12.0
START_MS = 1_651_370_400_000
HOUR_MS = 3_600_000
SHARDS = 4
BATCH_USERS = 1024
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

Record = Mapping[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        spec, root = build_spec(), Path(name)
        write_window(root, spec, args.users)
        check_equal(root, spec)
        report(args.users, *measure(root, spec, args.repeats))


def report(users: int, ours: float, theirs: float) -> None:
    """Print both rates and the figure."""
    ratio = theirs / ours
    print(f"store + pack: {users / ours:,.0f} users/s, fastavro + numpy: {users / theirs:,.0f}")
    verdict = "ok" if ratio >= GOAL else "short"
    print(f"FIGURE window_reading_vs_fastavro {ratio:.1f} {GOAL:.0f} {verdict}")


def measure(root: Path, spec: Spec, repeats: int) -> tuple[float, float]:
    """The median seconds of both sides, which take turns."""
    seconds: dict[Callable[[Path, Spec], Iterator[PackedUsers]], list[float]] = {
        by_store: [],
        by_fastavro: [],
    }
    for _ in range(repeats):
        for read, taken in seconds.items():
            begin = time.perf_counter()
            for _ in read(root, spec):
                pass
            taken.append(time.perf_counter() - begin)
    return statistics.median(seconds[by_store]), statistics.median(seconds[by_fastavro])


def by_store(root: Path, spec: Spec) -> Iterator[PackedUsers]:
    """The store's way."""
    for batch in WindowStore(root).read_users(START_MS, spec, batch_users=BATCH_USERS):
        yield pack(batch)


def by_fastavro(root: Path, spec: Spec) -> Iterator[PackedUsers]:
    """Through dicts, batch by batch."""
    records = _records(sorted((root / window_name(START_MS)).glob("shard-*.avro")))
    while batch := list(islice(records, BATCH_USERS)):
        yield pack_dicts(batch, spec)


def _records(paths: Iterable[Path]) -> Iterator[Record]:
    for path in paths:
        with path.open("rb") as file:
            records: Any = fastavro.reader(file)
            yield from records


def check_equal(root: Path, spec: Spec) -> None:
    """Raise AssertionError unless both sides give the same batches."""
    for ours, theirs in zip(by_store(root, spec), by_fastavro(root, spec), strict=True):
        _expect_equal(ours, theirs, "users")


def _expect_equal(ours: Any, theirs: Any, path: str) -> None:
    if dataclasses.is_dataclass(ours):
        ours, theirs = vars(ours), vars(theirs)
    if isinstance(ours, Mapping):
        assert list(ours) == list(theirs), path
        for name in ours:
            _expect_equal(ours[name], theirs[name], f"{path}.{name}")
    elif isinstance(ours, np.ndarray):
        assert ours.dtype == theirs.dtype, path
        assert np.array_equal(ours, theirs), path
    else:
        assert ours.equals(theirs), path


def pack_dicts(records: list[Record], spec: Spec) -> PackedUsers:
    """What `pack` does, from dicts."""
    requests = [request for record in records for request in record["requests"]]
    return PackedUsers(
        user=_ints(record["user"] for record in records),
        user_id=pa.array([record["user_id"] for record in records], pa.string()),
        window_start_ms=_ints(record["window_start_ms"] for record in records),
        history=_sequence([record["history"] for record in records], spec),
        recent=_sequence([record["recent"] for record in records], spec),
        requests=_requests(_offsets([record["requests"] for record in records]), requests, spec),
        samples=_samples([request["candidates"] for request in requests], spec),
    )


def _sequence(parts: list[Record], spec: Spec) -> PackedSequence:
    return PackedSequence(
        offsets=_offsets([part["item"] for part in parts]),
        time_ms=_ints(_flat(parts, "time_ms")),
        item=_ints(_flat(parts, "item")),
        action=_ints(_flat(parts, "action")),
        scenario=_values(list(_flat(parts, "scenario")), np.int64),
        features={
            name: _feature(list(_flat(parts, name)), spec, name) for name in spec.sequences.features
        },
    )


def _requests(offsets: Any, requests: list[Record], spec: Spec) -> PackedRequests:
    owned = spec.owned_by("user", "context", "query")
    return PackedRequests(
        offsets=offsets,
        id=_strings([request["id"] for request in requests]),
        time_ms=_ints(request["time_ms"] for request in requests),
        scenario=_strings([request["scenario"] for request in requests]),
        domain=_strings([request["domain"] for request in requests]),
        origin_domain=_strings([request["origin_domain"] for request in requests]),
        query=_strings([request["query"] for request in requests]),
        features={
            feature.name: _feature([one[feature.name] for one in requests], spec, feature.name)
            for feature in owned
        },
    )


def _samples(parts: list[Record], spec: Spec) -> PackedSamples:
    return PackedSamples(
        offsets=_offsets([part["item"] for part in parts]),
        item=_ints(_flat(parts, "item")),
        item_id=_strings(list(_flat(parts, "item_id"))),
        origin=np.fromiter(_flat(parts, "origin"), np.int32),
        position=np.fromiter(_flat(parts, "position"), np.int32),
        probability=np.fromiter(_flat(parts, "probability"), np.float64),
        features={
            feature.name: _feature(list(_flat(parts, feature.name)), spec, feature.name)
            for feature in spec.owned_by("item", "cross")
        },
        labels={task: _labels([part["labels"][task] for part in parts]) for task in spec.tasks},
    )


def _labels(parts: list[Record]) -> PackedLabels:
    return PackedLabels(
        value=_values(list(_flat(parts, "value")), np.float64),
        tier=_values(list(_flat(parts, "tier")), np.int32),
        event_id=_strings(list(_flat(parts, "event_id"))),
        time_ms=_values(list(_flat(parts, "time_ms")), np.int64),
        open=np.fromiter(_flat(parts, "open"), np.bool_),
    )


def _feature(column: list[Any], spec: Spec, name: str) -> Values | Lists:
    kind = spec.features[name].type
    if kind == "ids":
        return Lists(_ints(chain.from_iterable(column)), _offsets(column))
    return _values(column, np.int64 if kind == "id" else np.float64)


def _values(column: list[Any], dtype: Any) -> Values:
    valid = np.fromiter((value is not None for value in column), np.bool_, len(column))
    filled = (0 if value is None else value for value in column)
    return Values(np.fromiter(filled, dtype, len(column)), valid)


def _flat(parts: list[Record], name: str) -> Iterator[Any]:
    return chain.from_iterable(part[name] for part in parts)


def _ints(values: Iterable[int]) -> Any:
    return np.fromiter(values, np.int64)


def _strings(values: list[str | None]) -> pa.StringArray:
    return pa.array(values, pa.string())


def _offsets(lists: list[list[Any]]) -> Any:
    lengths = np.fromiter(map(len, lists), np.int64, len(lists))
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


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


if __name__ == "__main__":
    main()
