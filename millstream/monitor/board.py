"""The last thing that a process said of itself, for the threads that show it."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass
class Board(Generic[T]):
    """Holds what was last put up, and since when it stands there."""

    clock: Callable[[], float] = time.monotonic
    _held: tuple[T | None, float] = field(init=False)

    def __post_init__(self) -> None:
        self._held = None, self.clock()

    def put(self, value: T) -> None:
        """Replace what stands there: one assignment, so that readers need no lock."""
        self._held = value, self.clock()

    @property
    def value(self) -> T | None:
        """What stands there; None before anything was put up."""
        return self._held[0]

    @property
    def age_s(self) -> float:
        """How long ago it was put up, in seconds; how long ago the board was, if nothing was."""
        return self.clock() - self._held[1]
