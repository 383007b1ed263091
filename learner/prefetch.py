"""Work ahead in a thread: the next item is made while the last one is used."""

import queue
import threading
from collections.abc import Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Ahead(Generic[Item]):
    """Iterate over `source`, which runs up to `depth` items ahead in a thread of its own.

    An error in the source is raised where its item would have come. `close` ends the thread;
    used as a context manager it closes itself.
    """

    def __init__(self, source: Iterator[Item], depth: int = 1) -> None:
        self._source = source
        self._ready: queue.Queue[Item | _End] = queue.Queue(depth)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[Item]:
        while True:
            item = self._ready.get()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item

    def __enter__(self) -> "Ahead[Item]":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop reading ahead and wait for the thread."""
        self._closed.set()
        self._thread.join()

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            for item in self._source:
                if not self._put(item):
                    return
        except BaseException as raised:  # noqa: BLE001 - it is raised in the consumer
            error = raised
        self._put(_End(error))

    def _put(self, item: "Item | _End") -> bool:
        while not self._closed.is_set():
            try:
                self._ready.put(item, timeout=0.05)
            except queue.Full:
                continue
            return True
        return False


class _End:
    def __init__(self, error: BaseException | None) -> None:
        self.error = error
