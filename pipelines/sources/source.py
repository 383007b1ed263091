"""What a driver asks of a source, whatever it reads."""

from typing import Protocol

from pipelines.sources.raw import Range, RawRows


class Stopped(Exception):
    """The run was asked to end while a source waited for something; nothing was lost.

    Raise it with a text: Beam passes other errors on as a RuntimeError.
    """


class Source(Protocol):
    """Gives what a planned range holds, the same every time."""

    def read_range(self, wanted: Range) -> RawRows:
        """Read one range. What cannot be used becomes dead letters."""

    def answers(self) -> bool:
        """Whether it can be read now; may be asked from another thread."""

    def close(self) -> None:
        """End whatever connection there is."""
