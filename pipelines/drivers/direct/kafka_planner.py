"""Epochs over Kafka: what the next one reads, and the watermark of partitions that may be idle.

What an epoch reads is fetched before it is planned, so that its size in events and bytes is known:
a message may hold one event or many thousands. The plan then names exactly what came.
"""

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from pipelines.drivers.direct.journal import Commit, Plan
from pipelines.drivers.direct.planner import Clock, Standing
from pipelines.sources.kafka.reader import Budget
from pipelines.sources.kafka.source import KafkaSource, Partition
from pipelines.sources.raw import Range
from pipelines.steps.step import FINAL_CUT, NO_CUT
from schemas.errors import UserError
from schemas.spec import Spec

EPOCH_BYTES = 128 * 1024 * 1024
"""Of messages at once: parsed, and kept as dead letters, they take several times as much."""

FETCH_S = 5.0
"""After so long an epoch takes what has come."""

_SAID_EVERY_S = 30.0
_BEFORE_ALL = -(1 << 62)

_log = logging.getLogger(__name__)


@dataclass
class KafkaPlanner:
    """Plans epochs of at most about `epoch_rows` events over the partitions of a Kafka source.

    With `once` it reads what is there when it first looks; `limits` say it, if that is known.
    With `final` the input is complete: once all is read, the watermark is infinite. Partitions
    that are not `mine` are somebody else's; how far these came when all of ours are silent says
    `others_ms`. It is asked before ours are looked at: asked after, it would know of a time from
    which ours may hold events that the look has not seen. A fetch ends after `fetch_s`, or after
    about `epoch_bytes` of messages. While at most about `current_rows` events wait, an epoch whose
    cut has come reads none of them: the windows that it seals are waited for.
    """

    spec: Spec
    source: KafkaSource
    epoch_rows: int
    once: bool
    final: bool
    limits: Mapping[str, int] | None = None
    mine: Callable[[Partition], bool] = lambda partition: True
    others_ms: Callable[[int], int | None] | None = None
    fetch_s: float = FETCH_S
    epoch_bytes: int = EPOCH_BYTES
    current_rows: int = 0
    _there: list[Partition] = field(default_factory=list)
    _first_seen_ms: dict[str, int] = field(default_factory=dict)
    _put_back_ms: dict[str, int] = field(default_factory=dict)
    _rows_a_message: dict[str, float] = field(default_factory=dict)
    _said_s: float = float("-inf")
    _all_idle: bool = False
    _others_reached_ms: int | None = None

    def next(self, commit: Commit, clock: Clock) -> Plan | None:
        """See `Planner.next`. Raises UserError if a topic is missing and nobody waits for it."""
        if not self._look(commit, clock):
            return None
        behind = self._behind(commit)
        seals = self._seals_first(commit, behind, clock())
        ranges = [] if seals else self._fetched(commit, behind)
        now_ms = clock()
        watermark_ms = self._watermark(commit, now_ms)
        cut = max(commit.cut, self._cut(behind, watermark_ms))
        if not ranges and cut == commit.cut:
            return None
        active = tuple(p.name for p in self._there if self._is_active(p, commit, now_ms))
        return Plan(commit.epoch + 1, tuple(ranges), cut, now_ms, watermark_ms, active)

    def _fetched(self, commit: Commit, behind: list[Partition]) -> list[Range]:
        starts = {p: commit.offsets.get(p.name, 0) for p in self._chosen(commit, behind)}
        budget = Budget(self.epoch_rows, self.epoch_bytes, self.fetch_s)
        ranges = self.source.fetch(starts, budget) if starts else []
        for one in ranges:
            self._rows_a_message[one.name] = one.rows_estimate / (one.stop - one.start)
        return ranges

    def _seals_first(self, commit: Commit, behind: list[Partition], now_ms: int) -> bool:
        """Whether a cut has come, and so little waits that reading it can."""
        cut = self._cut(behind, self._watermark(commit, now_ms))
        waiting = sum(self._rows_waiting(p, commit) for p in behind)
        return cut > commit.cut and waiting <= self.current_rows

    def standing(self, commit: Commit, clock: Clock) -> Standing:
        """See `Planner.standing`; of partitions and messages that were there at the last look."""
        behind = {p.name: p.end - commit.offsets.get(p.name, 0) for p in self._behind(commit)}
        lag = {p.name: behind.get(p.name, 0) for p in self._there}
        return Standing(lag, self._watermark(commit, clock()))

    def pause_s(self, commit: Commit, clock: Clock) -> float | None:
        """See `Planner.pause_s`: until the next partition falls idle, if that may bring a cut."""
        newest_ms = commit.newest_ms
        if newest_ms is None or self.final or self._cut([], self._slack(newest_ms)) <= commit.cut:
            return None
        now_ms = clock()
        idle_at = (self._silent_at(p, commit, now_ms) + self.spec.time.idle_ms for p in self._there)
        waiting = [moment_ms - now_ms for moment_ms in idle_at if moment_ms > now_ms]
        if not waiting or any(self._has_more(p, commit) for p in self._there):
            return None
        return min(waiting) / 1_000

    def _look(self, commit: Commit, clock: Clock) -> bool:
        """See which partitions there are; whether all that are needed are among them."""
        if self._all_idle and self.others_ms is not None:
            self._others_reached_ms = self.others_ms(clock())
        all_there = self.source.partitions()
        self._there = [partition for partition in all_there if self.mine(partition)]
        now_ms = clock()
        for partition in self._there:
            self._first_seen_ms.setdefault(partition.name, now_ms)
        if self.limits is None and self.once:
            self.limits = {partition.name: partition.end for partition in self._there}
        lack = self.source.missing(all_there) or self._lost(commit)
        if lack is not None and self.once:
            raise lack
        if lack is not None and time.monotonic() - self._said_s > _SAID_EVERY_S:
            self._said_s = time.monotonic()
            _log.warning("waiting, for %s", lack)
        return lack is None

    def _lost(self, commit: Commit) -> UserError | None:
        lost = sorted(commit.offsets.keys() - {partition.name for partition in self._there})
        if not lost:
            return None
        return UserError(
            f"{self.source.address}: expected all that was read before, received nothing of "
            f"{lost[0]!r}; the topic was deleted, or this state belongs to another source. Give "
            "an empty --state and an empty --windows to start anew."
        )

    def _behind(self, commit: Commit) -> list[Partition]:
        """Partitions with messages that this run still has to read, ending where it ends."""
        limited = (p if self.limits is None else self._limited(p) for p in self._there)
        return [p for p in limited if commit.offsets.get(p.name, 0) < p.end]

    def _limited(self, partition: Partition) -> Partition:
        limit = (self.limits or {}).get(partition.name, 0)
        return replace(partition, end=min(limit, partition.end))

    def _chosen(self, commit: Commit, behind: list[Partition]) -> list[Partition]:
        """All that is behind, if one epoch holds it; else what lags most in event time.

        Partitions that are ahead by more than a window wait: what they hold would only rest in
        the state until the others have caught up.
        """
        if sum(self._rows_waiting(p, commit) for p in behind) <= self.epoch_rows:
            return behind
        reached = {p: commit.newest_by_partition_ms.get(p.name, _BEFORE_ALL) for p in behind}
        latest = min(reached.values()) + self.spec.window.length_ms
        return [p for p, time_ms in reached.items() if time_ms <= latest]

    def _rows_waiting(self, partition: Partition, commit: Commit) -> float:
        messages = partition.end - commit.offsets.get(partition.name, 0)
        return messages * self._rows_a_message.get(partition.name, 1.0)

    def _watermark(self, commit: Commit, now_ms: int) -> int | None:
        """The least over partitions that are not idle; if all are, what the furthest reached."""
        newest = commit.newest_by_partition_ms
        holding = [p.name for p in self._there if not self._is_idle(p, commit, now_ms)]
        self._all_idle = not holding
        if any(name not in newest for name in holding):
            return None
        if not holding:
            reached = (commit.newest_ms, self._others_reached_ms)
            known = [time_ms for time_ms in reached if time_ms is not None]
            return self._slack(max(known)) if known else None
        return self._slack(min(newest[name] for name in holding))

    def _slack(self, newest_ms: int) -> int:
        return newest_ms - self.spec.time.slack_ms

    def _cut(self, behind: Iterable[Partition], watermark_ms: int | None) -> int:
        if self.final and not behind:
            return FINAL_CUT
        if watermark_ms is None:
            return NO_CUT
        return self.spec.window.cut_at_or_before(watermark_ms)

    def _is_idle(self, partition: Partition, commit: Commit, now_ms: int) -> bool:
        """Silence counts only while the cluster answers."""
        if self._has_more(partition, commit):
            return False
        return now_ms - self._silent_at(partition, commit, now_ms) >= self.spec.time.idle_ms

    def _silent_at(self, partition: Partition, commit: Commit, now_ms: int) -> int:
        """Since when a partition has had nothing to read.

        What lies ahead of the clock was told before the clock was put back: silence then counts
        from when that was seen, or an hour back would be an hour of waiting.
        """
        first_ms = self._first_seen_ms[partition.name]
        active_ms = commit.active_ms.get(partition.name, first_ms)
        silent_ms = max(active_ms, int(self.source.link.restored_s * 1_000))
        if silent_ms <= now_ms:
            return silent_ms
        seen_ms = self._put_back_ms.get(partition.name, now_ms)
        self._put_back_ms[partition.name] = min(seen_ms, now_ms)
        return self._put_back_ms[partition.name]

    def _has_more(self, partition: Partition, commit: Commit) -> bool:
        return commit.offsets.get(partition.name, 0) < partition.end

    def _is_active(self, partition: Partition, commit: Commit, now_ms: int) -> bool:
        """Whether its silence counts from now: one met only now is given its time once."""
        if self._has_more(partition, commit):
            return True
        return partition.name not in commit.active_ms and not self._is_idle(
            partition, commit, now_ms
        )
