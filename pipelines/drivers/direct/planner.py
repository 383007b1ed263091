"""What a driver asks of a planner: the next epoch, from what is committed and what is there."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from pipelines.drivers.direct.journal import Commit, Plan

Clock = Callable[[], int]
"""The reader's clock: milliseconds since 1970 UTC."""


@dataclass(frozen=True)
class Standing:
    """How a source stands to what is committed.

    `lag`: what waits by partition; messages of a Kafka partition, estimated rows of a stream's
    files. `watermark_ms` is that of what was read; None if it cannot be told.
    """

    lag: Mapping[str, int]
    watermark_ms: int | None


class Planner(Protocol):
    """Plans epochs over one source."""

    def next(self, commit: Commit, clock: Clock) -> Plan | None:
        """The next epoch; None if there is nothing to read and no cut to evaluate.

        The plan carries the clock's time after all that it names was there.
        """

    def standing(self, commit: Commit, clock: Clock) -> Standing:
        """How far the source is ahead of a commit."""

    def pause_s(self, commit: Commit, clock: Clock) -> float | None:
        """How long a run that reads what is there should wait for a cut; None: there is no use."""
