"""What a driver asks of a planner: the next epoch, from what is committed and what is there."""

from collections.abc import Callable
from typing import Protocol

from pipelines.drivers.direct.journal import Commit, Plan

Clock = Callable[[], int]
"""The reader's clock: milliseconds since 1970 UTC."""


class Planner(Protocol):
    """Plans epochs over one source."""

    def next(self, commit: Commit, clock: Clock) -> Plan | None:
        """The next epoch; None if there is nothing to read and no cut to evaluate.

        The plan carries the clock's time after all that it names was there.
        """

    def unread_rows(self, commit: Commit) -> int:
        """An estimate of the rows that wait."""

    def pause_s(self, commit: Commit, clock: Clock) -> float | None:
        """How long a run that reads what is there should wait for a cut; None: there is no use."""
