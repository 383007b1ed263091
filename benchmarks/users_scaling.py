"""What an event costs the pipeline as the number of users grows, on simulated worlds.

CPU seconds by event of complete runs of the direct driver with a target domain. Every user comes
equally often in each world, so that a window of a larger one holds more users and no more of
each. Lists are short; catalogue and texts are those of the world `demo`, whatever the users, but
for the queries that are asked once, which grow with them. What a world of 100 users costs, in
which the pipeline seals as many windows and reads the same catalogue with next to nothing to do,
is taken off: left in, it would flatter large worlds. Small worlds last longer, up to ten days, for
one day of theirs costs too little to be told from nothing.

    python benchmarks/users_scaling.py [--users 10000 100000 1000000] [--requests-per-day 1]
"""

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks.entire_space import figure
from millstream import shipped
from pipelines.drivers.direct import DirectSettings, run
from pipelines.simulate.simulate import simulate
from pipelines.simulate.world import World
from pipelines.simulate.world_file import load, scaled
from pipelines.simulate.writer import Writer
from schemas.spec import Spec
from schemas.spec import load as load_spec

GOAL = 1.3
SHARDS = 4
IDLE_USERS = 100
USER_DAYS, MOST_DAYS = 300_000, 10
REPEATED_BELOW = 100_000
"""Worlds with fewer users are over in seconds: of three runs the least disturbed counts."""


def main() -> None:
    """One line a world, and the figure."""
    options = _options()
    spec = load_spec(shipped.spec_file("simulated"))
    costs = []
    for users in options.users:
        days = min(MOST_DAYS, max(1, USER_DAYS // users))
        idle, idle_s = cost(world_of(IDLE_USERS, days, options.requests_per_day), spec)
        events, cpu_s = cost(world_of(users, days, options.requests_per_day), spec)
        costs.append((cpu_s - idle_s) / (events - idle) * 1e6)
        print(
            f"{users:>9,} users, {days:>2} days: {events:>11,} events, {cpu_s:7.1f} s CPU "
            f"(idle: {idle:,}, {idle_s:.1f}), {costs[-1]:6.1f} µs an event",
            flush=True,
        )
    figure("cost_per_event_10k_to_1m_users", costs[-1] / costs[0], GOAL, at_most=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--users", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--requests-per-day", type=float, default=1.0)
    return parser.parse_args()


def world_of(users: int, days: int, requests_per_day: float) -> World:
    """The world `demo` with so many users, 10 candidates a list, of which 4 to 8 are exposed."""
    world = scaled(load("demo"), users=users, days=days)
    short = {
        name: replace(domain, candidates=10, exposed=(4, 8))
        for name, domain in world.domains.items()
    }
    often = replace(world.users, requests_per_day=requests_per_day)
    return replace(world, domains=short, users=often)


def cost(world: World, spec: Spec) -> tuple[int, float]:
    """How many events a world has, and the CPU seconds that the pipeline takes for them."""
    with tempfile.TemporaryDirectory(prefix="millstream-users-") as folder:
        root = Path(folder)
        simulate(world, Writer.open(root, spec))
        files = (root / "events").glob("*/*.parquet")
        events = sum(pq.read_metadata(file).num_rows for file in files)
        repeats = 3 if world.users.count < REPEATED_BELOW else 1
        return events, min(_run(root, root / f"run-{n}", spec) for n in range(repeats))


def _run(root: Path, out: Path, spec: Spec) -> float:
    began = time.process_time()
    paths = (root / "events", out / "windows", out / "state")
    run(DirectSettings(spec, *paths, shards=SHARDS, final=True))
    return time.process_time() - began


if __name__ == "__main__":
    main()
