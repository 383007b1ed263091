"""How fast windows come out of Kafka, against the same events in Parquet files.

A real broker on this machine; each side runs in a process of its own on one core, the broker on
the others. Repeats are interleaved and the median counts; first it is checked that all sides seal
the same windows. Also told: the ratio of processor time, which a busy machine blurs less.

    python benchmarks/kafka_speed.py [--full]
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.speed_world.files import write_world
from benchmarks.speed_world.spec import speed_spec
from infra.kafka import Broker, local_kafka
from pipelines.publish.messages import Encoder
from pipelines.publish.pace import Pace
from pipelines.publish.publisher import Publisher
from schemas.events import arrow_schema
from schemas.spec import Spec
from schemas.windows import WindowStore

SHARDS, PARTITIONS, PACK, REPEATS = 16, 4, 1_000, 3
EVENTS, FULL_EVENTS = 125_000, 500_000
SIDES = ("files", "packed", "json")
GOALS = {"packed": 0.7, "json": 0.3}
ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Run:
    """What one run took, and the digests of its windows by start."""

    wall_s: float
    cpu_s: float
    digests: dict[str, str]


def main() -> None:
    """Publish, check, measure and print the figures."""
    options = _options()
    events = FULL_EVENTS if options.full else EVENTS
    with tempfile.TemporaryDirectory(prefix="millstream-kafka-") as folder:
        root = Path(folder)
        held = write_world(root / "files", events)
        with local_kafka(root / "broker") as broker:
            for side in ("packed", "json"):
                _publish(broker, side, root / "files")
            print(f"{held:,} events in files and, twice, in Kafka", flush=True)
            _measure(root, broker, held)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--full", action="store_true", help=f"{FULL_EVENTS:,} events")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("paths", nargs="*", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        _serve(options.side, *options.paths)
        sys.exit()
    return options


def _spec(side: str) -> Spec:
    """The spec, with topics of the side's own."""
    spec = speed_spec()
    streams = {n: replace(s, topic=f"{side}.{n}") for n, s in spec.streams.items()}
    return replace(spec, streams=streams)


def _publish(broker: Broker, side: str, files: Path) -> None:
    """The events of each stream, file after file, into the topics of a side."""
    spec = _spec(side)
    encoder = Encoder(spec, "json") if side == "json" else Encoder(spec, "avro", PACK)
    publisher = Publisher(broker.address, encoder, Pace(None), PARTITIONS)
    publisher.open()
    for stream in spec.streams:
        schema = arrow_schema(spec, stream)
        for path in sorted((files / stream).glob("*.parquet")):
            table = pq.read_table(path).select(schema.names).cast(schema)
            if table.num_rows:
                publisher.publish({stream: pa.table(table)})
    publisher.close()


def _measure(root: Path, broker: Broker, events: int) -> None:
    runs: dict[str, list[Run]] = {side: [] for side in SIDES}
    for _ in range(REPEATS):
        for side in SIDES:
            source = str(root / "files") if side == "files" else f"kafka://{broker.address}"
            runs[side].append(_run(side, source, root / f"{side}-out", events))
    sealed = [run.digests for of_side in runs.values() for run in of_side]
    if not sealed[0] or any(one != sealed[0] for one in sealed):
        raise SystemExit("expected the same windows from all sides: no figure would mean anything")
    print(f"all sides seal the same {len(sealed[0])} windows")
    wall = {side: median(run.wall_s for run in of_side) for side, of_side in runs.items()}
    cpu = {side: median(run.cpu_s for run in of_side) for side, of_side in runs.items()}
    for side, goal in GOALS.items():
        print(f"kafka_{side}_vs_files by processor time: {cpu['files'] / cpu[side]:.3g}")
        ratio = wall["files"] / wall[side]
        verdict = "ok" if ratio >= goal else "short"
        print(f"FIGURE kafka_{side}_vs_files {ratio:.3g} {goal:g} {verdict}", flush=True)


def _run(side: str, source: str, out: Path, events: int) -> Run:
    """One run in a process of its own, told."""
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, __file__, "--side", side, source, str(out)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{side} failed:\n{done.stderr}")
    run = Run(**json.loads(done.stdout.splitlines()[-1]))
    rate = events / run.wall_s
    print(
        f"{side:8} {run.wall_s:7.2f} s wall {run.cpu_s:7.2f} s CPU {rate:9,.0f} events/s",
        flush=True,
    )
    return run


def _serve(side: str, source: str, out: str) -> None:
    """In a process of its own: run and tell."""
    from pipelines.drivers.direct import DirectSettings, run

    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    windows, state = Path(out) / "windows", Path(out) / "state"
    settings = DirectSettings(_spec(side), source, windows, state, shards=SHARDS, final=True)
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    run(settings)
    wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
    digests = {str(one.window_start_ms): one.digest for one in WindowStore(windows).windows()}
    print(json.dumps({"wall_s": wall_s, "cpu_s": cpu_s, "digests": digests}))


if __name__ == "__main__":
    main()
