"""Windows are learned strictly in order of time: what is left out, comes late or has changed."""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from learner.cursor import Cursor
from learner.progress import Progress
from schemas.errors import StoreError
from schemas.windows.manifest import Manifest

log = logging.getLogger(__name__)


@dataclass
class Order:
    """Judges what stands in a window store by what was learned.

    A window in which nothing happened does not exist, so a gap is legal, and a driver that seals
    in order of time has nothing more to put there. For one that may seal out of order a window
    after a gap waits for `gap_wait_s` seconds.
    """

    gap_wait_s: float = 0.0
    clock: Callable[[], float] = time.monotonic
    _seen: dict[int, float] = field(default_factory=dict, init=False)
    _named: set[str] = field(default_factory=set, init=False)

    def may_take(self, cursor: Cursor, manifest: Manifest) -> bool:
        """Whether a window is the next one, or has waited long enough for one in between."""
        done, start_ms = cursor.window_start_ms, manifest.window_start_ms
        length_ms = manifest.window_end_ms - start_ms
        if done is None or start_ms <= done + length_ms:
            return True
        seen = self._seen.setdefault(start_ms, self.clock())
        if self.clock() - seen >= self.gap_wait_s:
            return True
        self._say(
            f"window {start_ms}: nothing stands between it and window {done}; waiting "
            f"{self.gap_wait_s:.0f} s for what may still be sealed there"
        )
        return False

    def check(self, progress: Progress, sealed: Iterable[Manifest]) -> None:
        """Raise StoreError for a window sealed after the learner had passed its time.

        One that was learned and has changed since is named in the log.
        """
        at = progress.cursor.window_start_ms
        learned = dict(zip(progress.consumed, progress.digests, strict=True))
        current = progress.current.start_ms if progress.current else None
        for manifest in sealed:
            start_ms = manifest.window_start_ms
            if start_ms in learned:
                self._compare(manifest, learned[start_ms])
            elif at is not None and start_ms <= at and start_ms != current:
                raise _too_late(start_ms, at)

    def _compare(self, manifest: Manifest, digest: str) -> None:
        if manifest.digest != digest:
            self._say(
                f"window {manifest.window_start_ms}: expected manifest digest {digest}, as it was "
                f"learned, received {manifest.digest}. The weights know what stood there before; "
                "to learn it as it is now, go back to a version from before it (millstream train "
                "rewind --keep-windows)."
            )

    def _say(self, text: str) -> None:
        """Once a process: the store is looked at every few seconds."""
        if text not in self._named:
            self._named.add(text)
            log.warning("%s", text)


def _too_late(start_ms: int, at: int) -> StoreError:
    return StoreError(
        f"window {start_ms}: expected windows to be sealed in order of time, received one "
        f"from before window {at}, which was learned already. Training on it now would "
        "break the lineage: remove the window; or go back to a version from before it "
        "(millstream train rewind --keep-windows), or name an empty state folder. If the pipeline "
        "may seal out of order, start the learner with --gap-wait."
    )
