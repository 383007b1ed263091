"""The shop's events in order of time, and a producer that remembers when each was in Kafka."""

import tempfile
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.on_flink.servers import own_topics
from benchmarks.speed_world.files import write_world
from benchmarks.speed_world.shop import HOUR_MS, START_MS, World
from pipelines.arrays import Ints
from pipelines.publish.messages import Encoder
from pipelines.publish.pace import Pace
from pipelines.publish.publisher import Publisher
from schemas.hashing import hash_strings, shard_of
from schemas.spec import Spec

PARTITIONS, PACK = 4, 1_000


@dataclass
class Arrivals(Pace):
    """A pace that remembers which event times went out, and when each was in Kafka."""

    moments_ms: list[int] = field(default_factory=list)
    acknowledged_s: list[float] = field(default_factory=list)

    def wait_for(self, moment_ms: int) -> None:
        """See `Pace.wait_for`."""
        super().wait_for(moment_ms)
        self.moments_ms.append(moment_ms)

    def acknowledged(self, _: int) -> None:
        """What waited for the last moment has arrived."""
        self.acknowledged_s.append(time.time())

    def arrived_s(self, time_ms: int) -> float:
        """When the events of this time had arrived, by the machine's clock of the day."""
        return self.acknowledged_s[int(np.searchsorted(self.moments_ms, time_ms))]


@dataclass(frozen=True)
class Stream:
    """Hours of the shop as tables by stream in order of time, and the topics they go to."""

    spec: Spec
    tables: dict[str, pa.Table]

    @classmethod
    def of(cls, hours: int, events_an_hour: int) -> "Stream":
        """So many hours, with topics that nobody else has."""
        spec = own_topics()
        with tempfile.TemporaryDirectory(prefix="millstream-live-") as folder:
            root = Path(folder) / "world"
            write_world(root, hours * events_an_hour, World(events_an_hour))
            read = {name: pq.ParquetDataset(root / name).read() for name in spec.streams}
        return cls(spec, {name: table.sort_by("time_ms") for name, table in read.items()})

    def between(self, first: int, stop: int) -> "Stream":
        """The hours `[first, stop)`."""
        inside = {}
        for name, table in self.tables.items():
            after = pc.greater_equal(table["time_ms"], START_MS + first * HOUR_MS)
            before = pc.less(table["time_ms"], START_MS + stop * HOUR_MS)
            inside[name] = table.filter(pc.and_(after, before))
        return Stream(self.spec, inside)

    @property
    def events(self) -> int:
        """How many there are."""
        return sum(table.num_rows for table in self.tables.values())

    def publish(self, address: str, pace: Arrivals) -> None:
        """Send them in packs, all streams together, in order of time."""
        encoder = Encoder(self.spec, "avro", PACK)
        publisher = Publisher(address, encoder, pace, PARTITIONS, advance=pace.acknowledged)
        publisher.open()
        with closing(publisher):
            publisher.publish({name: table for name, table in self.tables.items() if len(table)})

    def possible_ms(self, start_ms: int) -> int | None:
        """The event time that lets a window be sealed: every partition then holds an event that
        is as late as its cut and the slack; None if one never does.
        """
        wanted_ms = self.spec.window.cut(start_ms) + self.spec.time.slack_ms
        partitions = [times for table in self.tables.values() for times in _by_partition(table)]
        if any(times[-1] < wanted_ms for times in partitions):
            return None
        return max(int(times[np.searchsorted(times, wanted_ms)]) for times in partitions)


def _by_partition(table: pa.Table) -> list[Ints]:
    """The times of each partition's events, in order."""
    partition = shard_of(hash_strings(table["user_id"]), PARTITIONS)
    return [table["time_ms"].to_numpy()[partition == one] for one in range(PARTITIONS)]
