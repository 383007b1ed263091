"""How fast worlds are written: events a second of one core, truth included.

An event is a row of an event stream: a request with all its candidates, a click, cart or
conversion, an item's entry or a retraction, copies counted. The world is the shipped `load` with
fewer people and days; the core's time counts (user and system), so that a busy machine matters
less, and the median of the repeats. First it is checked that a seed gives the same bytes again.

    python benchmarks/simulator_speed.py [--users 40000] [--days 1] [--repeats 3]
"""

import argparse
import hashlib
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

from millstream import shipped
from pipelines.simulate.simulate import simulate
from pipelines.simulate.world import World
from pipelines.simulate.world_file import load, scaled
from pipelines.simulate.writer import Writer
from schemas.spec import load as load_spec

GOAL = 300_000
SLICE_MS = 3_600_000
"""With fewer people a slice must be longer to hold as many requests as the whole world's."""


def main() -> None:
    """Check, measure and print the figure."""
    options = _options()
    world = scaled(load("load"), users=options.users, days=options.days)
    with tempfile.TemporaryDirectory(prefix="millstream-simulate-") as folder:
        _check(Path(folder))
        rates = [_rate(world, Path(folder) / str(at)) for at in range(options.repeats)]
    measured = median(rates)
    verdict = "ok" if measured >= GOAL else "short"
    print(f"FIGURE simulator_events_per_s_per_core {measured:.0f} {GOAL} {verdict}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--users", type=int, default=40_000)
    parser.add_argument("--days", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    return parser.parse_args()


def _check(folder: Path) -> None:
    """The tiny world twice, byte for byte; the compiled loops are then warm."""
    digests = []
    for name in ("first", "again"):
        _write(load("tiny"), folder / name)
        files = sorted(file for file in (folder / name).rglob("*") if file.is_file())
        digests.append([hashlib.sha256(file.read_bytes()).digest() for file in files])
    if digests[0] != digests[1]:
        raise SystemExit("expected the same bytes from the same seed, received others")
    print(f"the tiny world's {len(digests[0])} files are the same when written again")


def _rate(world: World, out: Path) -> float:
    """Events a second of this core."""
    began, wall = time.process_time(), time.perf_counter()
    events = _write(replace(world, slice_ms=SLICE_MS), out)
    core_s, wall_s = time.process_time() - began, time.perf_counter() - wall
    print(f"{events:,} events in {core_s:.2f} s of a core, {wall_s:.2f} s on the wall")
    return events / core_s


def _write(world: World, out: Path) -> int:
    writer = Writer.open(out, load_spec(shipped.spec_file("simulated")))
    simulate(world, writer)
    return sum(writer.summary().counts.values())


if __name__ == "__main__":
    main()
