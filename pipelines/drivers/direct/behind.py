"""Work that goes on behind an epoch: encoding, compressing and writing, on threads of its own.

Libraries do nearly all of it without holding the interpreter, and waiting for the disk needs none.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import BoundedSemaphore
from types import TracebackType
from typing import Any, Self

THREADS = 2
"""An epoch ends with nothing but this left to do: one would leave a core idle."""

WAITING = 16
"""So many pieces of work may wait, about those of a shard: more would only take memory."""


class Behind:
    """Does what it is given, begun in order, two at a time. Leaving its context waits for all."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="behind")
        self._room = BoundedSemaphore(WAITING)
        self._begun: list[Future[Any]] = []

    def begin(self, work: Callable[[], Any]) -> int:
        """Take some work, as soon as there is room; gives a number to ask for its result."""
        self._room.acquire()
        future = self._thread.submit(work)
        future.add_done_callback(lambda _: self._room.release())
        self._begun.append(future)
        return len(self._begun) - 1

    def result(self, number: int) -> Any:
        """What a piece of work gave, or raised."""
        return self._begun[number].result()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Raises what the first failure raised, unless something was raised before."""
        self._thread.shutdown()
        if error is None:
            for future in self._begun:
                future.result()
