"""Flink at parallelism 2 against the direct driver, both from Kafka, the same events.

Messages are Avro containers, so that the client is no bottleneck. Both sides are warmed up on a
small world, on which it is checked that they seal the same windows; repeats are interleaved and
the median counts. Flink's time is that from the moment when all its stages run; how long a job
takes to get there is told apart, and so is the CPU time of its Java and of its Python.

    python benchmarks/flink_speed.py [--events 1000000] [--quick]
"""

import argparse
import os
import shutil
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import pyarrow.parquet as pq

from benchmarks.on_flink.servers import Servers, own_topics, servers
from benchmarks.speed_world.files import write_world
from benchmarks.speed_world.shop import World
from pipelines.drivers.direct import DirectSettings
from pipelines.drivers.direct import run as run_direct
from pipelines.drivers.flink import run as run_flink
from pipelines.publish.messages import Encoder
from pipelines.publish.pace import Pace
from pipelines.publish.publisher import Publisher
from schemas.spec import Spec
from schemas.windows import WindowStore

SHARDS, PARALLELISM, PARTITIONS, PACK = 16, 2, 4, 1_000
SMALL = World(events_per_hour=5_000)
SMALL_EVENTS = 40_000
REPEATS = 3
GOAL = 0.25

Digests = list[tuple[int, str]]


@dataclass(frozen=True)
class Run:
    """What one run took, and what it sealed."""

    digests: Digests
    wall_s: float
    start_s: float
    cpu_s: tuple[float, ...]


def main() -> None:
    """Publish, check, measure and print the figure."""
    options = _options()
    with (
        tempfile.TemporaryDirectory(prefix="millstream-flink-speed-") as name,
        servers(Path(name), "flink_vs_direct") as both,
    ):
        _Bench(Path(name), both).measure(options.events, 1 if options.quick else REPEATS)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=1_000_000, help="size of the timed world")
    parser.add_argument("--quick", action="store_true", help="one repeat, a tenth of the events")
    options = parser.parse_args()
    if options.quick:
        options.events //= 10
    return options


@dataclass
class _Bench:
    """Both sides over topics of one broker."""

    folder: Path
    servers: Servers
    runs: int = 0

    def measure(self, events: int, repeats: int) -> None:
        """The ratio of the medians, after both sides were seen to seal the same."""
        small = self.published("small", SMALL_EVENTS, SMALL)
        self.same(small)
        timed = self.published("timed", events, World())
        pairs = [self.same(timed) for _ in range(repeats)]
        direct_s, flink_s = (
            median(run.wall_s for run in side) for side in zip(*pairs, strict=True)
        )
        ratio = direct_s / flink_s
        verdict = "ok" if ratio >= GOAL else "short"
        print(f"FIGURE flink_vs_direct {ratio:.3g} {GOAL} {verdict}", flush=True)

    def published(self, name: str, events: int, world: World) -> Spec:
        """A world in topics of its own; gives its spec."""
        root, spec = self.folder / name, own_topics()
        held = write_world(root, events, world)
        encoder = Encoder(spec, "avro", PACK)
        publisher = Publisher(self.servers.broker.address, encoder, Pace(None), PARTITIONS)
        publisher.open()
        with closing(publisher):
            for hour in sorted({path.name for path in root.glob("*/*.parquet")}):
                tables = {n: pq.read_table(root / n / hour) for n in spec.streams}
                publisher.publish({n: table for n, table in tables.items() if table.num_rows})
        print(f"{name}: {held:,} events in {len(spec.streams)} topics of {PARTITIONS} partitions")
        return spec

    def same(self, spec: Spec) -> tuple[Run, Run]:
        """One run of each side; they must seal the same windows."""
        direct, flink = self.direct(spec), self.flink(spec)
        if direct.digests != flink.digests or not direct.digests:
            raise SystemExit("expected the same windows from both drivers, received others")
        java_s, python_s = flink.cpu_s
        print(
            f"{len(direct.digests):4} windows   "
            f"direct {direct.wall_s:7.2f} s wall {direct.cpu_s[0]:6.2f} s CPU   "
            f"Flink {flink.wall_s:7.2f} s wall, after {flink.start_s:.1f} s of start, "
            f"{java_s:6.2f} s CPU of Java {python_s:6.2f} of Python",
            flush=True,
        )
        return direct, flink

    def direct(self, spec: Spec) -> Run:
        """The direct driver, in this process."""
        out = self.fresh("direct")
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        run_direct(
            DirectSettings(
                spec,
                self.servers.source,
                out / "windows",
                out / "state",
                shards=SHARDS,
                final=True,
            )
        )
        wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
        return Run(_digests(out / "windows"), wall_s, 0.0, (cpu_s,))

    def flink(self, spec: Spec) -> Run:
        """A job on the cluster."""
        out = self.fresh("flink")
        settings = self.servers.settings(
            spec, out, shards=SHARDS, parallelism=PARALLELISM, final=True
        )
        before, begun_s = self.cpu_s(), time.perf_counter()
        run_flink(settings)
        whole_s, after = time.perf_counter() - begun_s, self.cpu_s()
        wall_s = self.servers.running_s(settings.job_name)
        spent = tuple(b - a for a, b in zip(before, after, strict=True))
        return Run(_digests(out / "windows"), wall_s, whole_s - wall_s, spent)

    def cpu_s(self) -> tuple[float, float]:
        """CPU time so far of the task managers, and of the workers and their pool."""
        java = sum(_cpu_of_group_s(manager.pid) for manager in self.servers.cluster.task_managers)
        return java, _cpu_of_group_s(self.servers.cluster.workers.pid)

    def fresh(self, side: str) -> Path:
        """An empty folder in place of the run's before."""
        shutil.rmtree(self.folder / f"{side}-{self.runs}", ignore_errors=True)
        self.runs += 1
        out = self.folder / f"{side}-{self.runs}"
        out.mkdir()
        return out


def _cpu_of_group_s(group: int | None) -> float:
    """CPU time of all processes of a group, and of those children that they have buried."""
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group:
            ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def _digests(windows: Path) -> Digests:
    return [(one.window_start_ms, one.digest) for one in WindowStore(windows).windows()]


if __name__ == "__main__":
    main()
