"""The Kafka source as a splittable DoFn: its elements are shares of all partitions.

How far a share was read is Beam's restriction, so that Flink's checkpoints hold it.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.io.watermark_estimators import ManualWatermarkEstimator
from apache_beam.transforms.core import RestrictionProvider
from apache_beam.utils.timestamp import Duration

from pipelines.drivers.direct.journal import Commit
from pipelines.drivers.flink.cuts import watermark_of
from pipelines.drivers.flink.leg import Leg, LegCoder, LegTracker
from pipelines.drivers.flink.reader import Portion, Reading, ShareReader
from pipelines.drivers.flink.tell import EVERY_S
from pipelines.graph import ITEMS, REPORT, USERS, as_packets
from pipelines.reports import Report

CALL_S = 2.0
"""A call ends after so long however much there is to read, so that a checkpoint may begin.

It ends before if it has given as many events as `Reading.rows` says: all that it gives waits in
the task manager's heap until then.
"""

REST = Duration(seconds=1.9)
"""How long a share rests after a call: a second, for Flink heeds whole seconds of what is left of
it. Only while no call is under way does Flink pass the watermark on; without a rest the next call
begins at once, and the watermark waits for a checkpoint.
"""

Limits = tuple[Mapping[str, int], ...] | None
"""Of each share, the offsets at which it ends; None: never."""


@dataclass
class ReadKafka(beam.PTransform[Any, Any]):
    """Nothing → packets of events by shard of users, packets of items, and reports."""

    reading: Reading
    limits: Limits

    def expand(self, begin: Any) -> Any:
        shares = beam.Create(range(self.reading.readers)).with_output_types(int)
        spread = begin | "Shares" >> shares | "Spread" >> beam.Reshuffle()
        stage = beam.ParDo(_Read(self.reading, self.limits))
        read = spread | "Read" >> stage.with_outputs(REPORT, ITEMS, main=USERS)
        return *(as_packets(read[tag]) for tag in (USERS, ITEMS)), read[REPORT]


@beam.DoFn.unbounded_per_element()
class _Read(beam.DoFn, RestrictionProvider):
    """A share is read from its beginning on, and never split further."""

    def __init__(self, reading: Reading, limits: Limits) -> None:
        self.reading, self.limits = reading, limits
        self._readers: dict[int, ShareReader] = {}
        self._sign_s = 0.0

    def initial_restriction(self, element: int) -> Leg:  # noqa: ARG002  see Beam
        return Leg()

    def create_tracker(self, restriction: Leg) -> LegTracker:
        return LegTracker(restriction)

    def restriction_coder(self) -> LegCoder:
        return LegCoder()

    def restriction_size(self, element: int, restriction: Leg) -> int:  # noqa: ARG002  see Beam
        return 1

    def process(
        self,
        element: int,
        tracker: Any = beam.DoFn.RestrictionParam(),
        watermark: Any = beam.DoFn.WatermarkEstimatorParam(
            ManualWatermarkEstimator.default_provider()
        ),
    ) -> Iterator[Any]:
        """Read for a while, then leave the rest to a later call."""
        until_s, rows = time.monotonic() + CALL_S, 0
        while not self._is_read(element, commit := tracker.current_restriction().commit):
            portion = self._reader(element).next(commit)
            if portion is None:
                yield from self._sign_of_life(element)
                tracker.defer_remainder(REST)
                return
            if not tracker.try_claim(portion.commit):
                return
            _advance(watermark, portion.watermark_ms)
            yield from _outputs(portion)
            rows += portion.rows
            if not portion.more or rows >= self.reading.rows or time.monotonic() > until_s:
                tracker.defer_remainder(REST)
                return
        tracker.try_claim(None)

    def _limits_of(self, share: int) -> Mapping[str, int] | None:
        return None if self.limits is None else self.limits[share]

    def _is_read(self, share: int, commit: Commit) -> bool:
        limits = self._limits_of(share)
        return limits is not None and all(
            commit.offsets.get(name, 0) >= stop for name, stop in limits.items()
        )

    def _sign_of_life(self, share: int) -> Iterator[Any]:
        """Now and then an empty report, so that what was reported is told in quiet times too."""
        if share == 0 and time.monotonic() - self._sign_s > EVERY_S:
            self._sign_s = time.monotonic()
            yield beam.pvalue.TaggedOutput(REPORT, Report())

    def teardown(self) -> None:
        """End the connections."""
        for reader in self._readers.values():
            reader.close()
        self._readers.clear()

    def _reader(self, share: int) -> ShareReader:
        if share not in self._readers:
            self._readers[share] = ShareReader(self.reading, share, self._limits_of(share))
        return self._readers[share]


def _outputs(portion: Portion) -> Iterator[Any]:
    yield from portion.users
    for packet in portion.items:
        yield beam.pvalue.TaggedOutput(ITEMS, packet)
    yield beam.pvalue.TaggedOutput(REPORT, portion.report)


def _advance(watermark: Any, watermark_ms: int | None) -> None:
    """A watermark never falls, though the partitions' least may when a silent one speaks."""
    if watermark_ms is None:
        return
    moment, reached = watermark_of(watermark_ms), watermark.current_watermark()
    if reached is None or moment > reached:
        watermark.set_watermark(moment)
