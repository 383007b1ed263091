"""One share of a cluster's partitions, read as the direct driver reads all of them.

Offsets, watermark and idleness come from the direct driver's planner: one piece of code.
"""

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from pipelines import packets
from pipelines.drivers.direct.journal import Commit, Plan
from pipelines.drivers.direct.kafka_planner import KafkaPlanner
from pipelines.drivers.flink.cuts import DUE, cuts_between, cuts_of_events, due
from pipelines.drivers.flink.tails import Tails
from pipelines.graph import Packet
from pipelines.read_events import read_events
from pipelines.reports import Report, add_up
from pipelines.sources.kafka.source import KafkaSource, Partition
from pipelines.sources.source import Stopped
from pipelines.steps.step import FINAL_CUT, Tables
from schemas.spec import Spec

FETCH_S = 0.5
"""After so long a call takes what has come."""

FETCH_BYTES = 16 * 1024 * 1024
"""Of messages at once: what comes of them waits in a task manager's heap, more than once."""

PATIENCE_S = 5.0
"""A call waits so long for a cluster that does not answer; the next one asks again."""


@dataclass(frozen=True)
class Reading:
    """What is read, by how many readers, and about how many events in a call of each."""

    spec: Spec
    address: str
    shards: int
    readers: int
    rows: int

    def reader_of(self, partition: Partition) -> int:
        """Whose a partition is: each topic is dealt out, beginning with another reader."""
        topics = sorted(stream.topic for stream in self.spec.streams.values())
        return (topics.index(partition.topic) + partition.number) % self.readers


@dataclass(frozen=True)
class Portion:
    """So many events read at once, and what is true once they were passed on; whether more wait."""

    rows: int
    commit: Commit
    watermark_ms: int | None
    more: bool
    report: Report
    users: list[Packet] = field(default_factory=list)
    items: list[Packet] = field(default_factory=list)


class ShareReader:
    """Reads one share; holds connections, and nothing that would have to be kept.

    `limits` are the offsets of its partitions where the input ends, if it does.
    """

    def __init__(self, reading: Reading, share: int, limits: Mapping[str, int] | None) -> None:
        self.reading, self.share = reading, share
        self._deadline_s = 0.0
        self._source = KafkaSource(reading.address, reading.spec, stopped=self._has_waited)
        self._others = KafkaSource(reading.address, reading.spec, stopped=self._has_waited)
        self._planner = KafkaPlanner(
            reading.spec,
            self._source,
            reading.rows,
            once=False,
            final=False,
            limits=limits,
            others_ms=Tails(self._others).newest_ms,
            fetch_s=FETCH_S,
            epoch_bytes=FETCH_BYTES,
            mine=lambda partition: reading.reader_of(partition) == share,
        )

    def next(self, commit: Commit) -> Portion | None:
        """What comes after a commit; None if there is nothing now, or nobody answers."""
        self._deadline_s = time.monotonic() + PATIENCE_S
        try:
            plan = self._planner.next(commit, _now_ms)
            return None if plan is None else self._read(plan, commit)
        except Stopped:
            return None

    def close(self) -> None:
        """End the connections."""
        self._source.close()
        self._others.close()

    def _has_waited(self) -> bool:
        return time.monotonic() > self._deadline_s

    def _read(self, plan: Plan, commit: Commit) -> Portion:
        spec, shards = self.reading.spec, self.reading.shards
        reports: list[Report] = []
        users: dict[int, list[Tables]] = defaultdict(list)
        items: dict[int, list[Tables]] = defaultdict(list)
        for one in plan.ranges:
            raw = self._source.read_range(one)
            read = read_events(spec, one.stream, one.name, raw, plan.now_ms, shards)
            newest = {} if read.newest_ms is None else {one.name: read.newest_ms}
            reports.append(Report.of(read.counts, read.dead_letters, newest))
            of_kind = items if spec.streams[one.stream].kind == "item" else users
            for shard, events in read.by_shard:
                of_kind[shard].append(events)
        report = add_up(reports)
        after = replace(commit.after(plan, report), counts={})
        standing = self._planner.standing(after, _now_ms)
        return Portion(
            rows=sum(one.rows_estimate for one in plan.ranges),
            commit=after,
            watermark_ms=standing.watermark_ms,
            more=any(standing.lag.values()),
            report=report,
            users=list(self._users(users, commit, after)),
            items=list(self._items(items)),
        )

    def _users(
        self, parts: dict[int, list[Tables]], before: Commit, after: Commit
    ) -> Iterator[Packet]:
        """Events by shard of users. When time has passed a cut, every shard hears of it."""
        window = self.reading.spec.window
        merged = {shard: packets.merge(some) for shard, some in parts.items()}
        passed = np.empty(0, np.int64)
        if merged:
            oldest_ms = min(_oldest_ms(tables) for tables in merged.values())
            since_ms = self._newest_ms(before, oldest_ms)
            passed = cuts_between(since_ms, self._newest_ms(after, oldest_ms), window)
        final = np.array([FINAL_CUT])
        for shard in range(self.reading.shards) if len(passed) else sorted(merged):
            events = merged.get(shard, {})
            cuts = due([cuts_of_events(events, window), passed, final])
            yield shard, packets.encode({**events, DUE: cuts})

    def _newest_ms(self, commit: Commit, otherwise_ms: int) -> int:
        """The newest event of any user."""
        items = {s.topic for s in self.reading.spec.streams.values() if s.kind == "item"}
        newest = commit.newest_by_partition_ms.items()
        times = [time_ms for name, time_ms in newest if name.rpartition("/")[0] not in items]
        return max(times, default=otherwise_ms)

    def _items(self, parts: dict[int, list[Tables]]) -> Iterator[Packet]:
        target = self.reading.spec.target
        if target is None or target.searchify is None:
            return
        for shard, some in sorted(parts.items()):
            events = packets.merge(some)
            cuts = due([cuts_of_events(events, self.reading.spec.window)])
            yield shard, packets.encode({**events, DUE: cuts})


def _oldest_ms(events: Tables) -> int:
    return min(int(table["time_ms"].to_numpy().min()) for table in events.values())


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
