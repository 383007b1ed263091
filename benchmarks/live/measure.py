"""What both runners are measured by: capacity, then seals at half of it, then a backlog.

1. **Capacity**: events a second while all that the topics hold is read.
2. **Seals**: events come at half the capacity, an hour of them in some seconds. The watermark can
   pass a cut when every partition holds an event of cut + slack or later; what is told is the time
   from then to the window's manifest.
3. **Backlog**: the run ends, events of a while are published, the run begins again. What is told is
   how many of them it works off a second against the capacity, and against the rate at which they
   would have come.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

from benchmarks.live.sides import Following, Side
from benchmarks.live.stream import Arrivals, Stream
from benchmarks.speed_world.shop import HOUR_MS, START_MS
from schemas.windows.names import MANIFEST, window_name

WARM_UP = 3
"""Hours that are there before the run begins."""

PATIENCE_S = 600.0
TIMES_REAL_TIME, OF_CAPACITY = 5.0, 0.9


@dataclass(frozen=True)
class Load:
    """How much is measured: events for the capacity; windows, and seconds between them; seconds
    of backlog.
    """

    events: int
    windows: int
    seconds: float
    backlog_s: float


def load_of(doc: str, load: Load) -> Load:
    """What the command line makes of a load."""
    parser = argparse.ArgumentParser(description=doc.partition("\n")[0])
    for name, meaning in (
        ("events", "that the capacity is measured with"),
        ("windows", "that are sealed at a steady rate"),
        ("seconds", "from one of these to the next"),
        ("backlog_s", "seconds of events to be worked off; 1800 is the long form"),
    ):
        default = getattr(load, name)
        words = {"type": type(default), "default": default}
        parser.add_argument(f"--{name.replace('_', '-')}", help=f"{meaning} (%(default)s)", **words)
    return Load(**vars(parser.parse_args()))


@dataclass
class Measure:
    """One runner, measured in a folder of its own."""

    side: Side
    folder: Path
    load: Load

    def capacity(self) -> float:
        """Events a second, of two runs the second one."""
        for turn in ("cold", "warm"):
            hours = Stream.of(hours=8, events_an_hour=self.load.events // 8)
            hours.publish(self.side.address, Arrivals(None))
            took_s = self.side.through(hours.spec, self.folder / turn)
            print(f"{turn}: {hours.events:,} events in {took_s:.1f} s{_busy()}", flush=True)
        return hours.events / took_s

    def steady(self, rate: float) -> "Steady":
        """Hours at this rate, and a backlog behind them."""
        backlog = max(1, round(self.load.backlog_s / self.load.seconds))
        hours = WARM_UP + self.load.windows
        stream = Stream.of(hours + 1 + backlog, round(rate * self.load.seconds))
        return Steady(self, stream, hours + 1)


@dataclass
class Steady:
    """Hours of which the first `live` come at a steady rate, the others as a backlog."""

    measure: Measure
    stream: Stream
    live: int

    def seals_s(self) -> list[float]:
        """How long each window was waited for."""
        side, out = self.measure.side, self.measure.folder / "live"
        self.stream.between(0, WARM_UP).publish(side.address, Arrivals(None))
        following = side.follow(self.stream.spec, out)
        _wait_for(out, [START_MS], following)
        speed = HOUR_MS / 1_000 / self.measure.load.seconds
        pace = Arrivals(speed)
        paced = self.stream.between(WARM_UP, self.live)
        begun_s = time.monotonic()
        paced.publish(side.address, pace)
        took_s = time.monotonic() - begun_s
        print(f"{paced.events / took_s:,.0f} events/s came for {took_s:.0f} s{_busy()}", flush=True)
        moments = {one: paced.possible_ms(one) for one in self._starts(WARM_UP, self.live)}
        possible_s = {one: pace.arrived_s(ms) for one, ms in moments.items() if ms is not None}
        sealed_s = _wait_for(out, possible_s, following)
        following.end()
        return [sealed_s[one] - possible_s[one] for one in possible_s]

    def backlog(self) -> float:
        """Events a second that the run works off, once it works."""
        side, out = self.measure.side, self.measure.folder / "live"
        behind = self.stream.between(self.live, 1 << 20)
        behind.publish(side.address, Arrivals(None))
        following = side.follow(self.stream.spec, out)
        last = self._starts(self.live, 1 << 20)
        reached = [one for one in last if behind.possible_ms(one) is not None]
        sealed_s = max(_wait_for(out, reached, following).values())
        took_s = sealed_s - following.begun_s
        following.end()
        print(f"backlog: {behind.events:,} events in {took_s:.1f} s{_busy()}", flush=True)
        return behind.events / took_s

    def _starts(self, first: int, stop: int) -> range:
        """The starts of the windows of these hours."""
        newest_ms = max(int(t["time_ms"][-1].as_py()) for t in self.stream.tables.values())
        stop_ms = min(START_MS + stop * HOUR_MS, newest_ms)
        return range(START_MS + first * HOUR_MS, stop_ms, HOUR_MS)


def measure(name: str, side: Side, load: Load, goal_s: float) -> None:
    """Measure and print the figures."""
    with tempfile.TemporaryDirectory(prefix=f"millstream-{name}-") as folder:
        one = Measure(side, Path(folder), load)
        capacity = one.capacity()
        steady = one.steady(capacity / 2)
        waited_s = steady.seals_s()
        print("seconds to the manifest:", " ".join(f"{s:.1f}" for s in waited_s))
        p99_s = quantiles(waited_s, n=100, method="inclusive")[98]
        print(f"median {median(waited_s):.1f} s of {len(waited_s)} windows")
        _figure(f"{name}_seals_within_s", p99_s, goal_s, ok=p99_s <= goal_s)
        rate = steady.backlog()
        times = rate / (capacity / 2)
        print(f"{name}: worked off at {times:.1f} times the rate at which it had come")
        enough = times >= TIMES_REAL_TIME or rate >= OF_CAPACITY * capacity
        _figure(f"{name}_backlog_vs_capacity", rate / capacity, OF_CAPACITY, ok=enough)


def _figure(name: str, value: float, goal: float, *, ok: bool) -> None:
    print(f"FIGURE {name} {value:.3g} {goal:g} {'ok' if ok else 'short'}", flush=True)


def _wait_for(out: Path, starts: Iterable[int], following: Following) -> dict[int, float]:
    """When these windows were sealed, once all are."""
    manifests = {one: out / "windows" / window_name(one) / MANIFEST for one in starts}
    deadline_s = time.monotonic() + PATIENCE_S
    while not all(path.exists() for path in manifests.values()):
        following.check()
        if time.monotonic() > deadline_s:
            raise SystemExit(f"expected windows within {PATIENCE_S:.0f} s, received fewer")
        time.sleep(0.1)
    return {one: path.stat().st_mtime for one, path in manifests.items()}


def _busy() -> str:
    return f" (load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores)"
