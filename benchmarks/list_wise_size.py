"""How large user windows are beside the same content as point-wise rows.

Both are Avro containers of one codec (zstd, level 1, blocks of 256 KiB), one file a window. A row
is one sample: its user's id and hash, all that its request logged (id, time, scenario, domains,
query, features), the candidate with its features, and per task the whole label. Rows stand either
in time order, as a log holds them, or sorted by user, request and position, as our records are.
What a row repeats of its request it must repeat: that is what point-wise means. The sequences H
and R belong to a user and a window. Rows can keep them in two ways, and both are rivals:

    repeated   in every row, whole: what a trainer needs that reads rows and joins nothing
    once       one row a user, in a file of its own that a trainer must join

Rows are read back and compared with the records' samples, one by one. Measured are the last day's
windows of the simulator's world `demo` (the figures) and of KuaiRand, whose requests have one
candidate each. The store's block indexes, 32 bytes a user record, are not counted.

    python benchmarks/list_wise_size.py [--users 1000] [--days 3]
"""

import argparse
import io
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import fastavro
import polars as pl
import pyarrow as pa

from millstream import shipped
from millstream.demo.kuairand import shipped_data
from pipelines.drivers.direct import DirectSettings, run
from pipelines.replay import kuairand
from pipelines.simulate.simulate import simulate
from pipelines.simulate.world_file import load, scaled
from pipelines.simulate.writer import Writer
from schemas.events import avro_record
from schemas.record import request_type
from schemas.spec import Spec
from schemas.spec import load as load_spec
from schemas.windows import WindowStore
from schemas.windows.avro import encode
from schemas.windows.container import (
    SYNC_BYTES,
    block_cuts,
    blocks,
    compressor,
    decode_header,
    encode_block,
    encode_header,
)

GOALS = {"time": 0.4, "user": 0.8}
DAY_MS = 86_400_000
ROWS_AT_ONCE = 4096
"""As many as the store encodes at once: a block never reaches over two such parts."""
ORDERS = {
    "time": ["request_time_ms", "request_id", "candidate_position"],
    "user": ["user_id", "request_time_ms", "request_id", "candidate_position"],
}


@dataclass(frozen=True)
class Size:
    """Bytes in files, and of the datums before they were compressed."""

    stored: int = 0
    plain: int = 0

    def __add__(self, other: "Size") -> "Size":
        return Size(self.stored + other.stored, self.plain + other.plain)


@dataclass
class Sizes:
    """What the measured windows hold, and how large each form of it is."""

    samples: int = 0
    users: int = 0
    records: Size = Size()
    sequences: Size = Size()
    rows: dict[str, Size] = field(default_factory=lambda: dict.fromkeys(ORDERS, Size()))
    repeated: dict[str, Size] = field(default_factory=lambda: dict.fromkeys(ORDERS, Size()))

    def rivals(self) -> Iterator[tuple[tuple[str, str], Size]]:
        """Every form of rows that holds the whole content, by order and way of sequences."""
        for order in ORDERS:
            yield (order, "repeated"), self.repeated[order]
            yield (order, "once"), self.rows[order] + self.sequences


def main() -> None:
    """Print sizes and ratios for both data sets, and the figures."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="millstream-size-") as folder:
        root = Path(folder)
        spec = load_spec(shipped.spec_file("simulated"))
        world = scaled(load("demo"), users=options.users, days=options.days)
        simulate(world, Writer.open(root / "demo", spec))
        sizes = measure(root / "demo", spec, world.end_ms)
        report(f"world demo, {options.users} users, day {options.days}", sizes)
        for (order, kept), size in sizes.rivals():
            figure(f"list_wise_size_by_{order}_{kept}", sizes.records.stored / size.stored, order)
        spec = load_spec(shipped.spec_file("kuairand"))
        kuairand.replay(shipped_data(), root / "kuairand" / "events", spec)
        report("KuaiRand, last day", measure(root / "kuairand", spec, None))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--users", type=int, default=1_000)
    parser.add_argument("--days", type=int, default=3)
    return parser.parse_args()


def measure(root: Path, spec: Spec, end_ms: int | None) -> Sizes:
    """Sizes of the windows of the day before `end_ms`, or of the last window's."""
    paths = (root / "events", root / "windows", root / "state")
    run(DirectSettings(spec, *paths, shards=1, final=True))
    store = WindowStore(root / "windows")
    windows = [one.window_start_ms for one in store.windows() if one.counts.requests]
    end_ms = end_ms or windows[-1] + spec.window.length_ms
    sizes = Sizes()
    for start_ms in windows:
        if end_ms - DAY_MS <= start_ms < end_ms:
            _add(sizes, store, start_ms, spec)
    return sizes


def _add(sizes: Sizes, store: WindowStore, start_ms: int, spec: Spec) -> None:
    """Add one window, and check that rows hold what the records hold."""
    users = pa.Table.from_batches(store.read_users(start_ms, spec))
    sizes.records += _records(store.folder(start_ms))
    sequences = users.select(["user_id", "history", "recent"])
    sizes.sequences += _sized(_container("Sequences", _parts(sequences)))
    rows, expected = samples(users, spec), _sorted(flattened(users))
    sizes.samples, sizes.users = sizes.samples + len(rows), sizes.users + len(users)
    for order, keys in ORDERS.items():
        table = _table(rows.sort(keys), spec)
        written = _container("Sample", _parts(table))
        sizes.rows[order] += _sized(written)
        sizes.repeated[order] += _sized(_container("Sample", _with_sequences(table, sequences)))
        if _sorted(_read(written)) != expected:
            raise AssertionError(f"rows by {order} do not hold what the records hold")


def _records(folder: Path) -> Size:
    return sum((_sized(file.read_bytes()) for file in folder.glob("shard-*.avro")), Size())


def _sized(data: bytes) -> Size:
    view, name = memoryview(data), "container"
    plain = sum(len(block.body) for block in blocks(view, decode_header(view, name), name))
    return Size(len(data), plain)


def samples(users: pa.Table, spec: Spec) -> pl.DataFrame:
    """One row a sample."""
    frame = pl.DataFrame(pl.from_arrow(users.select(["user_id", "user", "requests"])))
    frame = frame.explode("requests", empty_as_null=False)
    request, candidates = pl.col("requests").struct, pl.col("candidates").struct
    fields = [field for field in request_type(spec) if field.name != "candidates"]
    frame = frame.select(
        "user_id",
        "user",
        *(request.field(field.name).alias(f"request_{field.name}") for field in fields),
        request.field("candidates"),
    )
    lists = [name for name in _candidate_names(spec) if name != "labels"]
    labels = candidates.field("labels").struct
    columns = {f"candidate_{name}": candidates.field(name) for name in lists}
    for task in spec.tasks:
        for name in ("value", "tier", "event_id", "time_ms", "open"):
            columns[f"{task}_{name}"] = labels.field(task).struct.field(name)
    flat = frame.with_columns(**columns).drop("candidates")
    return flat.explode(list(columns), empty_as_null=False)


def _candidate_names(spec: Spec) -> list[str]:
    return [field.name for field in request_type(spec).field("candidates").type]


def flattened(users: pa.Table) -> list[dict[str, object]]:
    """The records' samples, by plain loops: what rows must say."""
    return [
        {
            "user_id": user["user_id"],
            "user": user["user"],
            **{f"request_{name}": value for name, value in one.items() if name != "candidates"},
            **{
                f"candidate_{name}": column[row]
                for name, column in one["candidates"].items()
                if name != "labels"
            },
            **{
                f"{task}_{name}": column[row]
                for task, label in one["candidates"]["labels"].items()
                for name, column in label.items()
            },
        }
        for batch in users.to_batches(max_chunksize=256)
        for user in batch.select(["user_id", "user", "requests"]).to_pylist()
        for one in user["requests"]
        for row in range(len(one["candidates"]["item"]))
    ]


def _sorted(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    names = ("user_id", "request_id", "candidate_position")
    return sorted(rows, key=lambda row: tuple(str(row[name]) for name in names))


def _table(rows: pl.DataFrame, spec: Spec) -> pa.Table:
    """Rows in the record's own types, nullable where its are."""
    kinds = {
        "user_id": pa.field("user_id", pa.string(), False),
        "user": pa.field("user", pa.int64(), False),
    }
    for one in request_type(spec):
        kinds[f"request_{one.name}"] = one
    for one in request_type(spec).field("candidates").type:
        for task in one.type if one.name == "labels" else ():
            kinds |= {f"{task.name}_{part.name}": part.type.value_field for part in task.type}
        if one.name != "labels":
            kinds[f"candidate_{one.name}"] = one.type.value_field
    fields = [kinds[name].with_name(name) for name in rows.columns]
    return rows.to_arrow().cast(pa.schema(fields)).combine_chunks()


def _parts(rows: pa.Table) -> Iterator[pa.Table]:
    """The rows, some at a time."""
    return (rows.slice(first, ROWS_AT_ONCE) for first in range(0, len(rows), ROWS_AT_ONCE))


def _with_sequences(rows: pa.Table, sequences: pa.Table) -> Iterator[pa.Table]:
    """The rows, some at a time, each with its user's H and R."""
    users = sequences["user_id"].combine_chunks()
    for part in _parts(rows):
        of = pa.compute.index_in(part["user_id"], value_set=users)
        for name in ("history", "recent"):
            part = part.append_column(sequences.schema.field(name), sequences[name].take(of))
        yield part


def _container(name: str, parts: Iterator[pa.Table]) -> bytes:
    """An Avro container, made as the window store makes its own."""
    compress, out = compressor(), b""
    for part in parts:
        schema = avro_record(name, part.schema)
        out = out or encode_header(schema)
        sync = encode_header(schema)[-SYNC_BYTES:]
        [batch] = part.combine_chunks().to_batches()
        body, offsets = encode(batch, schema)
        for first, last in pairwise(block_cuts(offsets)):
            frame = compress(body[offsets[first] : offsets[last]])
            out += encode_block(last - first, frame, sync)
    return out


def _read(data: bytes) -> list[dict[str, object]]:
    """The rows of a container, by fastavro, which shares no code with what wrote it."""
    return list(fastavro.reader(io.BytesIO(data)))


def report(name: str, sizes: Sizes) -> None:
    """Bytes a sample, in files and before compression, and the records' share of each rival."""
    print(f"{name}: {sizes.samples:,} samples of {sizes.users:,} user records; bytes a sample")
    _line("records", sizes.records, sizes)
    for (order, kept), size in sizes.rivals():
        _line(f"rows by {order}, sequences {kept}", size, sizes)
    _line("of records and rows `once`, sequences", sizes.sequences, sizes)


def _line(name: str, size: Size, sizes: Sizes) -> None:
    stored, plain = size.stored / sizes.samples, size.plain / sizes.samples
    share = sizes.records.stored / size.stored
    print(f"{name:<38} {stored:8.1f} stored {plain:9.1f} plain   records / this {share:.3f}")


def figure(name: str, measured: float, order: str) -> None:
    """One line for the record."""
    verdict = "ok" if measured <= GOALS[order] else "short"
    print(f"FIGURE {name} {measured:.3f} {GOALS[order]:g} {verdict}", flush=True)


if __name__ == "__main__":
    main()
