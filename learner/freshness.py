"""How fresh the weights are: how long after its end, and after it was sealed, a window was learned.

It is told by clocks, so it is no part of what is exact: it stands in a file of its own, beside the
journal of the metrics, and a window that a killed learner learned again stands there twice. The
later line is true, for what was learned before was lost.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from learner.journal import Entry, Journal
from schemas.windows.manifest import Manifest
from schemas.windows.names import BUILD

FRESHNESS = "freshness.jsonl"
SINCE_END = "freshness/seconds_since_end"
SINCE_SEALED = "freshness/seconds_since_sealed"


@dataclass(frozen=True)
class Freshness:
    """Notes when windows were learned; `folder` says where a window is, `clock` seconds UTC."""

    journal: Journal
    folder: Callable[[int], Path]
    clock: Callable[[], float] = time.time

    def learned(self, step: int, manifest: Manifest) -> None:
        """A window was learned just now. Raises UserError if the disk does not take it."""
        now_ms = self.clock() * 1000
        delays = {SINCE_END: (now_ms - manifest.window_end_ms) / 1000}
        sealed_at_ms = self._sealed_at_ms(manifest.window_start_ms)
        if sealed_at_ms is not None:
            delays[SINCE_SEALED] = (now_ms - sealed_at_ms) / 1000
        start_ms, end_ms = manifest.window_start_ms, manifest.window_end_ms
        self.journal.append(Entry(step, start_ms, end_ms, delays))

    def _sealed_at_ms(self, start_ms: int) -> int | None:
        """By the clock of who sealed it; None if nobody says."""
        try:
            told = json.loads((self.folder(start_ms) / BUILD).read_text(encoding="utf-8"))
            return int(told["sealed_at_ms"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
