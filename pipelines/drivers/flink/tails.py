"""How far the whole cluster has come, for a reader whose own partitions are all silent.

A watermark follows the furthest partition when all are silent. A reader sees only its own: of the
others it asks for the last message, now and then.
"""

import time
from dataclasses import dataclass, field

from pipelines.read_events import read_events
from pipelines.sources.kafka.reader import Budget
from pipelines.sources.kafka.source import KafkaSource

EVERY_S = 1.0

_MANY_BYTES = 64 * 1024 * 1024


@dataclass
class Tails:
    """The newest event time among the last messages of all partitions."""

    source: KafkaSource
    _asked_s: float = float("-inf")
    _ends: dict[str, int] = field(default_factory=dict)
    _newest_ms: int | None = None

    def newest_ms(self, now_ms: int) -> int | None:
        """What is known, asked anew after a while; it never falls. Raises Stopped."""
        if time.monotonic() - self._asked_s > EVERY_S:
            self._ask(now_ms)
            self._asked_s = time.monotonic()
        return self._newest_ms

    def _ask(self, now_ms: int) -> None:
        """Look at the last message of each partition that has grown."""
        grown = [p for p in self.source.partitions() if self._ends.get(p.name, 0) < p.end]
        if not grown:
            return
        starts = {partition: partition.end - 1 for partition in grown}
        budget = Budget(len(grown), _MANY_BYTES, EVERY_S)
        spec = self.source.spec
        for one in self.source.fetch(starts, budget):
            raw = self.source.read_range(one)
            newest_ms = read_events(spec, one.stream, one.name, raw, now_ms, 1).newest_ms
            if newest_ms is not None:
                self._newest_ms = max(newest_ms, self._newest_ms or newest_ms)
            self._ends[one.name] = one.stop
