"""Checkpoints written in a thread: training waits for a copy of what changed, not for the disk."""

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self

from safetensors import SafetensorError

from learner.checkpoint import Checkpoints, Snapshot
from models.tables.base import Changes
from schemas.errors import UserError

log = logging.getLogger(__name__)

Stage = Callable[[Sequence[Sequence[Changes]]], None]


class Writer:
    """Writes one snapshot at a time; used as a context manager it ends with its thread."""

    def __init__(self, checkpoints: Checkpoints) -> None:
        self._checkpoints = checkpoints
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._last: Future[None] | None = None
        self.saved_at_s: float | None = None
        """When the last checkpoint was complete, by `time.monotonic`."""

    @property
    def busy(self) -> bool:
        """Whether `write` would have to wait."""
        return self._last is not None and not self._last.done()

    def write(
        self, snapshot: Snapshot, live: Sequence[Changes], first: Stage | None = None
    ) -> None:
        """Begin to write a snapshot and, where it is time for it, all rows as they are.

        `first` is called before, with the changes that make up each table: what it writes is
        there when the snapshot is. Waits for the snapshot before, and raises what `wait` raises.
        """
        self.wait()
        whole = live if self._checkpoints.wants_whole else ()
        self._last = self._pool.submit(self._write, snapshot, whole, first)

    def wait(self) -> None:
        """Wait until all is on the disk. Raises UserError if it did not take it, or is damaged."""
        last, self._last = self._last, None
        try:
            if last is not None:
                last.result()
        except (OSError, SafetensorError) as error:
            raise UserError(
                f"{self._checkpoints.folder}: expected room for a checkpoint, received: {error}. "
                "The checkpoint before it is untouched. Make room, or move the state folder, and "
                "start the learner again: it goes on from there."
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()
        failed = self._last.exception() if self._last is not None else None
        if failed is not None:  # Nobody waited for it, as something else went wrong too.
            log.error("the last checkpoint was not written: %s", failed)

    def _write(self, snapshot: Snapshot, whole: Sequence[Changes], first: Stage | None) -> None:
        if first is not None:
            first(self._checkpoints.rows_at(snapshot))
        self._checkpoints.save(snapshot)
        self.saved_at_s = time.monotonic()
        if whole:
            self._checkpoints.save_whole(whole)
