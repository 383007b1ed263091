"""How soon Flink seals a window once its watermark can pass the cut, at a steady rate.

Events are published to Kafka so that an hour of them takes some seconds, all streams together, in
order of time. The watermark can pass a cut when every partition was sent an event of cut + slack or
later. What is told is the time from then to the window's manifest; the job has started and sealed
something before.

    python benchmarks/flink_latency.py [--hours 20] [--seconds-an-hour 4]
"""

import argparse
import os
import signal
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path
from statistics import quantiles

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.on_flink.servers import own_topics, servers
from benchmarks.speed_world.files import write_world
from benchmarks.speed_world.shop import HOUR_MS, START_MS, World
from pipelines.arrays import Ints
from pipelines.drivers.flink import run
from pipelines.publish.messages import Encoder
from pipelines.publish.pace import Pace
from pipelines.publish.publisher import Publisher
from schemas.hashing import hash_strings, shard_of
from schemas.spec import Spec
from schemas.windows import WindowStore, window_name

EVENTS_AN_HOUR, PARTITIONS = 5_000, 4
WARM_UP = 3
FIRST_MS = START_MS + WARM_UP * HOUR_MS
GOAL_S = 10.0


def main() -> None:
    """Publish at a steady rate beside a job that follows, and print the figure."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="millstream-flink-latency-") as name:
        folder, spec = Path(name), own_topics()
        with servers(folder, "flink_seals_within_s") as both:
            publishing = _Publishing(spec, both.broker.address, folder, options)
            settings = both.settings(spec, folder)
            publishing.start()
            run(settings)
            _tell(publishing, settings.windows)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--hours", type=int, default=20, help="of event time, an hour a window")
    parser.add_argument("--seconds-an-hour", type=float, default=4.0, help="how fast it goes by")
    return parser.parse_args()


class _Publishing(threading.Thread):
    """Publishes the first hours at once, waits until the job has sealed one, publishes the others
    at their pace, then asks the run beside it to end.
    """

    def __init__(self, spec: Spec, address: str, folder: Path, options: argparse.Namespace) -> None:
        super().__init__(daemon=True)
        self.spec, self.address, self.windows = spec, address, folder / "windows"
        self.speed = HOUR_MS / 1_000 / options.seconds_an_hour
        root, world = folder / "world", World(events_per_hour=EVENTS_AN_HOUR)
        write_world(root, EVENTS_AN_HOUR * (WARM_UP + options.hours), world)
        self.tables = {
            name: pq.ParquetDataset(root / name).read().sort_by("time_ms") for name in spec.streams
        }
        self.begun_s = 0.0

    def run(self) -> None:
        early = {name: pc.less(t["time_ms"], FIRST_MS) for name, t in self.tables.items()}
        self.publish({n: t.filter(early[n]) for n, t in self.tables.items()}, speed=None)
        while not list(self.windows.glob("*/_MANIFEST.json")):
            time.sleep(0.5)
        self.begun_s = time.time()
        late = {n: t.filter(pc.invert(early[n])) for n, t in self.tables.items()}
        self.publish(late, self.speed)
        time.sleep(2 * GOAL_S)
        os.kill(os.getpid(), signal.SIGTERM)

    def publish(self, tables: dict[str, pa.Table], speed: float | None) -> None:
        """All of them, in order of time."""
        encoder = Encoder(self.spec, "avro")
        publisher = Publisher(self.address, encoder, Pace(speed), PARTITIONS)
        publisher.open()
        with closing(publisher):
            publisher.publish({name: table for name, table in tables.items() if table.num_rows})

    def possible_s(self, start_ms: int) -> float:
        """When the watermark could pass a window's cut: every partition held an event after it."""
        wanted_ms = self.spec.window.cut(start_ms) + self.spec.time.slack_ms
        reached_ms = max(
            int(times[np.searchsorted(times, wanted_ms)])
            for table in self.tables.values()
            for times in _by_partition(table)
        )
        return self.begun_s + (reached_ms - FIRST_MS) / 1_000 / self.speed


def _by_partition(table: pa.Table) -> list[Ints]:
    """The times of each partition's events, in order."""
    partition = shard_of(hash_strings(table["user_id"]), PARTITIONS)
    return [table["time_ms"].to_numpy()[partition == one] for one in range(PARTITIONS)]


def _tell(publishing: _Publishing, windows: Path) -> None:
    waited_s = [
        (windows / window_name(one.window_start_ms) / "_MANIFEST.json").stat().st_mtime
        - publishing.possible_s(one.window_start_ms)
        for one in WindowStore(windows).windows()
        if one.window_start_ms >= FIRST_MS
    ]
    print("seconds to the manifest:", " ".join(f"{one:.1f}" for one in waited_s))
    p99_s = quantiles(waited_s, n=100, method="inclusive")[98]
    verdict = "ok" if p99_s <= GOAL_S else "short"
    print(f"FIGURE flink_seals_within_s {p99_s:.3g} {GOAL_S:g} {verdict}", flush=True)


if __name__ == "__main__":
    main()
