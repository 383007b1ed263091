"""A simulated world into a cluster, slice after slice, all streams together."""

from dataclasses import dataclass, field

import pyarrow as pa

from pipelines.publish.publisher import Publisher
from pipelines.simulate.writer import Writer


@dataclass
class WorldPublisher:
    """An `Output` of the simulator: events are published, truth is written or left out."""

    publisher: Publisher
    writer: Writer | None = None
    _slice_ms: int | None = None
    _waiting: dict[str, pa.Table] = field(default_factory=dict)

    def events(self, stream: str, slice_ms: int, table: pa.Table) -> None:
        """Keep what arrives in a slice; a later one shows that nothing more is to come."""
        if slice_ms != self._slice_ms:
            self.finish()
            self._slice_ms = slice_ms
        self._waiting[stream] = table

    def truth(self, name: str, slice_ms: int | None, table: pa.Table) -> None:
        """See `Writer.truth`."""
        if self.writer is not None:
            self.writer.truth(name, slice_ms, table)

    def finish(self) -> None:
        """Publish the slice that is kept."""
        self.publisher.publish(self._waiting)
        self._waiting = {}
