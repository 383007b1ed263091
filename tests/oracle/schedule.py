"""What goes into the oracle and what comes out of it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

DeadLetter = tuple[str, str, int, str]
"""Stream, source, row, reason."""


@dataclass(frozen=True)
class Event:
    """One event, typed as the schema of its stream demands, and where it was read."""

    stream: str
    fields: dict[str, Any]
    source: str
    row: int


@dataclass(frozen=True)
class Read:
    """Events read while the last cut is what the most recent `Seal` said."""

    events: Sequence[Event]
    now_ms: int


@dataclass(frozen=True)
class Seal:
    """The watermark passed this cut: every cut up to and including it is evaluated in order."""

    cut_ms: int


@dataclass(frozen=True)
class SealAll:
    """W = infinity: all that holds something is sealed. Nothing may follow."""


Step = Read | Seal | SealAll
Schedule = Sequence[Step]


@dataclass
class WindowOutcome:
    """One sealed window: user records by user id, revisions in the order of rule 12."""

    users: list[dict[str, Any]] = field(default_factory=list)
    revisions: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Outcome:
    """All that a schedule gave: windows by start, dead letters sorted, counters by name."""

    windows: dict[int, WindowOutcome] = field(default_factory=dict)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    counters: Counter[str] = field(default_factory=Counter)
