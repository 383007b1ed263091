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
from itertools import islice
from pathlib import Path
from typing import Any

import fastavro
import numpy as np

from benchmarks.window_files.by_dicts import Record, pack_dicts
from benchmarks.window_files.made_up import START_MS, build_spec, write_window
from schemas.spec import Spec
from schemas.windows import PackedUsers, WindowStore, pack, window_name

GOAL = 12.0
BATCH_USERS = 1024


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


if __name__ == "__main__":
    main()
