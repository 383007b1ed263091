"""`--follow`: new lines and files are taken up as they come; SIGTERM ends it after the epoch."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipelines.drivers.direct.status import Status
from schemas.windows import WindowStore
from tests.pipeline.small_world import SPEC_TOML, Events, small_world, write_json_lines
from tests.pipeline.test_direct_driver import built, digests, run, settings

PATIENCE_S = 120.0


def halves(events: Events, moment_ms: int) -> tuple[Events, Events]:
    """Events before a moment, and from it on."""
    early = {s: [e for e in rows if e["time_ms"] < moment_ms] for s, rows in events.items()}
    late = {s: [e for e in rows if e["time_ms"] >= moment_ms] for s, rows in events.items()}
    return early, late


def wait_for_windows(folder: Path, least: int) -> int:
    """Wait until so many windows are sealed; how many there are."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        sealed = len(list(folder.glob("*/_MANIFEST.json")))
        if sealed >= least:
            return sealed
        time.sleep(0.2)
    raise AssertionError(f"expected {least} windows in {folder} within {PATIENCE_S} s")


def test_a_following_pipeline_takes_up_new_lines_and_leaves_when_asked(tmp_path: Path) -> None:
    events = small_world(31, requests=300)
    reference = built(tmp_path / "whole", events)
    early, late = halves(events, 60_000)
    folder = tmp_path / "followed"
    write_json_lines(early, folder / "events")
    (folder / "spec.toml").write_text(SPEC_TOML)
    paths = ["--source", "events", "--windows", "windows", "--state", "state", "--shards", "3"]
    command = [sys.executable, "-m", "millstream", "pipeline", "--spec", "spec.toml", *paths]
    process = subprocess.Popen([*command, "--follow"], cwd=folder)
    try:
        first = wait_for_windows(folder / "windows", 3)
        for stream, rows in late.items():
            with (folder / "events" / stream / "000.jsonl").open("a", encoding="utf-8") as file:
                file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        wait_for_windows(folder / "windows", first + 3)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
    finally:
        process.kill()
    run(settings(folder))
    assert digests(WindowStore(folder / "windows")) == digests(reference)


class Sealed(Exception):
    """Ends a run that would go on."""


def test_a_cut_that_what_was_read_allows_is_evaluated_without_a_rest(tmp_path: Path) -> None:
    write_json_lines(small_world(32, requests=50), tmp_path / "events")

    def watch(status: Status) -> None:
        if status.work.sealed:
            raise Sealed

    begun_s = time.monotonic()
    with pytest.raises(Sealed):
        run(settings(tmp_path, final=False, follow=True, poll_s=PATIENCE_S), watch)
    assert time.monotonic() - begun_s < PATIENCE_S
