"""The program: one stage after the other."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.by_hand.actions import take_actions
from benchmarks.by_hand.credit import credit
from benchmarks.by_hand.fold import fold
from benchmarks.by_hand.labels import label
from benchmarks.by_hand.read import read_events
from benchmarks.by_hand.requests import take_requests
from benchmarks.by_hand.revisions import write_revisions
from benchmarks.by_hand.users import write_users
from benchmarks.by_hand.writer import Writer
from benchmarks.speed_world.spec import speed_spec
from schemas.record import revision_avro, user_window_avro


def main(source: Path, windows: Path, shards: int) -> dict[str, float]:
    """Read `source`, write `windows`; returns the CPU seconds that each stage took."""
    spec, clock = speed_spec(), _Clock()
    events = clock("read", lambda: read_events(spec, source))
    requests = clock("requests", lambda: take_requests(events, spec))
    actions = clock("actions", lambda: take_actions(events, spec))
    credits = clock("credit", lambda: credit(requests, actions, spec))
    labels = clock("label", lambda: label(requests, actions, credits, spec))
    records = clock("fold", lambda: fold(requests, actions, events, shards, spec))
    writer = Writer(windows, user_window_avro(spec))
    clock("users", lambda: write_users(records, requests, actions, labels, events, writer))
    late = Writer(windows, revision_avro())
    clock("revisions", lambda: write_revisions(labels, requests, actions, events, records, late))
    (windows / "digests.json").write_text(json.dumps(writer.digests | late.digests))
    return clock.seconds | writer.seconds


@dataclass
class _Clock:
    """Calls stages and keeps the CPU time that each took."""

    seconds: dict[str, float] = field(default_factory=dict)

    def __call__(self, stage: str, call: Callable[[], Any]) -> Any:
        started = time.thread_time()
        result = call()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.thread_time() - started
        return result
