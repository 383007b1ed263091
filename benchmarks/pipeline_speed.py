"""How fast the direct driver is, against the best program by hand and one element an event.

Each side runs in a process of its own on one core, warmed up on a small world; repeats are
interleaved and the median counts. First it is checked that all sides write the same records, and
that the pipeline and the graph per element count the same.

    python benchmarks/pipeline_speed.py [--events 2000000] [--quick]
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import pyarrow.parquet as pq

from benchmarks.speed_world.files import first_hours, write_world
from benchmarks.speed_world.shop import World
from benchmarks.speed_world.spec import speed_spec
from benchmarks.window_files.compare import all_rows, digests_of, stored_rows
from benchmarks.window_files.counts import counts_of, keep_counts

SHARDS = 16
SMALL = World(events_per_hour=5_000)
SMALL_EVENTS = 40_000
REPEATS = 3
ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Run:
    """What one run took."""

    events: int
    wall_s: float
    cpu_s: float
    peak_mb: float

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.events / self.wall_s


def main() -> None:
    """Check, measure and print the figures."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="millstream-speed-") as folder:
        bench = _Bench(Path(folder), options.events, 1 if options.quick else REPEATS)
        bench.make_worlds()
        bench.check_small()
        bench.measure()
        bench.measure_memory()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=2_000_000, help="size of the timed world")
    parser.add_argument("--quick", action="store_true", help="one repeat, a tenth of the events")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("paths", nargs="*", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        _serve(options.side, *options.paths)
        sys.exit()
    if options.quick:
        options.events //= 10
    return options


class _Bench:
    """The worlds below `root`: timed, half, double and small."""

    def __init__(self, root: Path, events: int, repeats: int) -> None:
        self.root, self.events, self.repeats = root, events, repeats

    def make_worlds(self) -> None:
        """The double world; its first hours are the timed one and the half."""
        hours = max(1, self.events // 2 // World().events_per_hour)
        held = write_world(self.root / "double", 4 * hours * World().events_per_hour)
        timed = first_hours(self.root / "double", self.root / "timed", 2 * hours)
        half = first_hours(self.root / "double", self.root / "half", hours)
        small = write_world(self.root / "small", SMALL_EVENTS, SMALL)
        print(f"worlds of {half}, {timed} and {held} events, a small one of {small}")

    def check_small(self) -> None:
        """All three sides write the same records of the small world, as fastavro reads them."""
        written = {side: list(all_rows(self.run(side, "small"))) for side in SIDES}
        _require(len(written["pipeline"]) > 0, "records of the small world")
        for side in ("by_hand", "per_element"):
            _require(written[side] == written["pipeline"], f"the pipeline's records from {side}")
        counted = [counts_of(self.output(side)) for side in ("pipeline", "per_element")]
        _require(counted[0] == counted[1], "the pipeline's counts from per_element")
        stored = list(stored_rows(self.output("pipeline")))
        _require(stored == written["pipeline"], "the same records from the window store")
        print(f"all sides write the same {len(stored)} records of the small world")

    def measure(self) -> None:
        """Interleaved repeats of all sides, and the figures on their speed."""
        runs: dict[str, list[Run]] = {side: [] for side in SIDES}
        worlds = {"pipeline": "timed", "by_hand": "timed", "per_element": "small"}
        for _ in range(self.repeats):
            for side, world in worlds.items():
                runs[side].append(self.timed(side, world))
        same = digests_of(self.output("pipeline")) == digests_of(self.output("by_hand"))
        _require(same, "the same records from the pipeline and by hand")
        print("the pipeline and the program by hand write the same records of the timed world")
        rate = {side: median(run.rate for run in of_side) for side, of_side in runs.items()}
        _figure("pipeline_vs_by_hand", rate["pipeline"] / rate["by_hand"], 0.35)
        _figure("pipeline_vs_per_element", rate["pipeline"] / rate["per_element"], 30)

    def measure_memory(self) -> None:
        """The peak of the pipeline's memory on the double world against that on the half."""
        half, double = self.timed("pipeline", "half"), self.timed("pipeline", "double")
        _figure("pipeline_memory_1m_to_4m", double.peak_mb / half.peak_mb, 1.2, at_most=True)

    def timed(self, side: str, world: str) -> Run:
        """One run in a process of its own, told."""
        told = self.run(side, world, warm_up=True).joinpath("run.json").read_text()
        run = Run(**json.loads(told))
        print(
            f"{side:12} {run.events:9,} events {run.wall_s:7.2f} s wall {run.cpu_s:7.2f} s CPU "
            f"{run.rate:9,.0f} events/s {run.peak_mb:7.0f} MB peak",
            flush=True,
        )
        return run

    def run(self, side: str, world: str, warm_up: bool = False) -> Path:
        """Run a side on a world, after the small one if told; returns where its windows are."""
        windows = self.output(side)
        shutil.rmtree(windows, ignore_errors=True)
        windows.mkdir()
        warm = [self.root / "small"] if warm_up else []
        paths = (windows, *warm, self.root / world)
        command = [sys.executable, __file__, "--side", side, *map(str, paths)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        result = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False
        )
        if result.returncode:
            raise SystemExit(f"{side} failed on world {world}:\n{result.stderr}")
        return windows

    def output(self, side: str) -> Path:
        """Where a side writes."""
        return self.root / f"{side}-windows"


def _serve(side: str, windows: Path, *sources: Path) -> None:
    """In a process of its own: warm up on the first of two worlds, then run and tell."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    call, source = SIDES[side](), sources[-1]
    for world in sources[:-1]:
        with tempfile.TemporaryDirectory(dir=windows.parent) as folder:
            call(world, Path(folder))
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    call(source, windows)
    wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
    events = sum(pq.read_metadata(path).num_rows for path in source.glob("*/*.parquet"))
    told = json.dumps(asdict(Run(events, wall_s, cpu_s, _peak_mb())))
    (windows / "run.json").write_text(told)


def _peak_mb() -> float:
    """The most memory that this process held; `getrusage` would tell its parent's as well."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


Side = Callable[[Path, Path], Any]


def _pipeline() -> Side:
    from pipelines.drivers.direct import DirectSettings, run

    def call(source: Path, windows: Path) -> None:
        with tempfile.TemporaryDirectory(dir=windows.parent) as state:
            settings = DirectSettings(
                speed_spec(), source, windows, Path(state), shards=SHARDS, final=True
            )
            keep_counts(windows, run(settings).totals)

    return call


def _by_hand() -> Side:
    from benchmarks.by_hand import program

    return lambda source, windows: program.main(source, windows, SHARDS)


def _per_element() -> Side:
    from benchmarks.per_element import graph

    return lambda source, windows: graph.main(source, windows, SHARDS)


SIDES: dict[str, Callable[[], Side]] = {
    "pipeline": _pipeline,
    "by_hand": _by_hand,
    "per_element": _per_element,
}


def _require(holds: bool, expected: str) -> None:
    if not holds:
        raise SystemExit(f"expected {expected}, received others: no figure would mean anything")


def _figure(name: str, measured: float, goal: float, at_most: bool = False) -> None:
    reached = measured <= goal if at_most else measured >= goal
    print(f"FIGURE {name} {measured:.3g} {goal:g} {'ok' if reached else 'short'}", flush=True)


if __name__ == "__main__":
    main()
