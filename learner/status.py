"""How a learner stands, for whoever looks on: told after every batch, at no cost to the device."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Literal, TypeVar

T = TypeVar("T")
Doing = Literal["waiting", "scoring", "training"]


@dataclass(frozen=True)
class Table:
    """Rows in use, and the bytes of them and of what is kept beside them."""

    rows: int
    bytes: int


@dataclass(frozen=True)
class Mail:
    """What MLflow does not have yet."""

    unsent: int
    """Metric entries and versions."""
    error: str | None
    """What the server said last, if it did not take what it was sent."""


@dataclass(frozen=True)
class Status:
    """All that is known of a learner at one moment; sums are those of its process."""

    doing: Doing = "waiting"
    windows_waiting: int = 0
    """Sealed, and not learned; the one in progress among them."""
    windows_learned: int = 0
    """Since the state began."""
    windows_skipped: int = 0
    """Since the state began, by rewinds."""
    learned_until_ms: int | None = None
    """End of the last window learned: event time up to which all is in the weights."""
    batches: int = 0
    """Trained on."""
    samples: int = 0
    """Trained on."""
    bad_batches: int = 0
    """Skipped because a loss or gradient was no number; since the state began."""
    loss: float | None = None
    """Of the last batch."""
    loop_seconds: float = 0.0
    """Time spent with windows: scoring, training, registering, waiting for batches."""
    feed_wait_seconds: float = 0.0
    """Of these, the time in which the next batch was not there yet."""
    stall_seconds: float = 0.0
    """Of these, the time that checkpoints held up the loop."""
    batches_per_second: float = 0.0
    """In the newest window's training."""
    samples_per_second: float = 0.0
    """In the newest window's training."""
    tables: Mapping[str, Table] = field(default_factory=dict)
    """As they were after the last window, by name."""
    champion: str | None = None
    """The version that is scored in shadow."""
    saved_at_s: float | None = None
    """When the last checkpoint was complete, by `time.monotonic`; None before the first."""
    mail: Callable[[], Mail] = field(default=lambda: Mail(0, None))
    """Asked for when it is shown, for it reads the journal."""


class Pulse:
    """Keeps count of a loop and tells.

    Args:
        told: called with how the learner stands, after every batch and while it waits.
        clock: seconds that never go back.
    """

    def __init__(
        self, told: Callable[[Status], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._told = told
        self._clock = clock
        self._pass_began = self._told_at = clock()
        self._pass = 0, 0
        self.status = Status()

    def tell(self, **changes: object) -> None:
        """What has changed, and that the learner is alive."""
        now = self._clock()
        worked = 0.0 if self.status.doing == "waiting" else now - self._told_at
        self._told_at = now
        changes = {"loop_seconds": self.status.loop_seconds + worked, **changes}
        self.status = replace(self.status, **changes)  # type: ignore[arg-type]
        self._told(self.status)

    def begin_pass(self) -> None:
        """Training on a window begins."""
        self._pass_began, self._pass = self._clock(), (0, 0)
        self.tell(doing="training")

    def trained(self, samples: int, loss: float | None, bad_batches: int) -> None:
        """A batch was trained on."""
        batches, seen = self._pass[0] + 1, self._pass[1] + samples
        self._pass = batches, seen
        seconds = max(self._clock() - self._pass_began, 1e-9)
        self.tell(
            batches=self.status.batches + 1,
            samples=self.status.samples + samples,
            loss=loss,
            bad_batches=bad_batches,
            batches_per_second=batches / seconds,
            samples_per_second=seen / seconds,
        )

    def fed(self, items: Iterable[T]) -> Iterator[T]:
        """The items; the time until each of them is there counts as waiting for the feed."""
        iterator = iter(items)
        while True:
            with self.counted("feed_wait_seconds"):
                item = next(iterator, None)
            if item is None:
                return
            yield item

    @contextmanager
    def counted(self, name: str) -> Iterator[None]:
        """Add the time that the block takes to a sum of the status."""
        begun = self._clock()
        try:
            yield
        finally:
            spent = getattr(self.status, name) + self._clock() - begun
            self.status = replace(self.status, **{name: spent})
