"""Where in the stream of windows the learner stands."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Cursor:
    """The user records consumed so far: those of earlier windows and `records` of this one."""

    window_start_ms: int | None = None
    """The last window begun; None before the first."""
    records: int = 0
    """How many of its user records were trained on."""
    complete: bool = True
    """Whether all of them were."""
