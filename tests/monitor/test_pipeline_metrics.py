"""What a run tells the world: the endpoint of a real run, and the view of a real terminal."""

import json
import os
import pty
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console

from millstream.monitor import Board, serving
from millstream.monitor.endpoint import Health
from millstream.monitor.pipeline_metrics import health_of, registry_of
from millstream.monitor.pipeline_view import screen
from pipelines.drivers.direct import DirectSettings, Status, run
from pipelines.drivers.direct.journal import Commit
from pipelines.drivers.direct.planner import Standing
from pipelines.drivers.direct.status import Sealed, Work
from schemas.errors import UserError
from schemas.windows import WindowStore
from tests.pipeline.small_world import SPEC_TOML, small_spec, small_world, write_json_lines

NAME = "millstream_pipeline"
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def get(address: str) -> tuple[int, bytes]:
    """Status and body, whatever the status."""
    try:
        with urllib.request.urlopen(address, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def scraped(address: str) -> Samples:
    """The samples as Prometheus would read them."""
    code, body = get(f"{address}/metrics")
    assert code == 200
    families = text_string_to_metric_families(body.decode())
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for f in families for s in f.samples}


@contextmanager
def served(board: Board[Status]) -> Iterator[str]:
    with serving(registry_of(board), lambda: health_of(board), "127.0.0.1", 0) as address:
        yield address


def status_of(tmp_path: Path, **changes: Any) -> Status:
    """A run in the middle of a day, everything by hand."""
    counts = {"accepted/click": 7, "dead/click/bad_json": 2, "dead/click/late": 1, "windows": 3}
    commit = Commit(9, {}, 900_000, 1_000_000, counts | {"closed": 4, "no_sample/buy": 5}, False)
    commit = replace(commit, open_windows=(900_000, 910_000))
    sealed = Sealed("19700101T001440Z", 880_000, 895_000, 896_500)
    standing = Standing({"clicks/0": 12, "clicks/1": 0}, 998_000)
    work = Work(epochs=4, rows=70, sealed=3, seconds=2.0, last_seconds=0.25)
    whole = Status(commit, standing, work, sealed, tmp_path, lambda: True)
    return replace(whole, **changes)


def test_every_fact_of_a_status_is_a_metric(tmp_path: Path) -> None:
    (tmp_path / "state").write_bytes(b"x" * 1_234)
    board = Board[Status]()
    board.put(status_of(tmp_path))
    with served(board) as address:
        found = scraped(address)
    assert found[f"{NAME}_events_accepted_total", (("stream", "click"),)] == 7
    dead = {dict(labels)["reason"]: n for (name, labels), n in found.items() if "dead" in name}
    assert dead == {"bad_json": 2, "late": 1}
    lag = {dict(labels)["partition"]: n for (name, labels), n in found.items() if "lag" in name}
    assert lag == {"clicks/0": 12, "clicks/1": 0}
    counted = {
        dict(k)["name"]: n for (name, k), n in found.items() if name.endswith("counted_total")
    }
    assert counted == {"closed": 4, "no_sample/buy": 5}
    plain = {name.removeprefix(f"{NAME}_"): n for (name, labels), n in found.items() if not labels}
    assert (plain["windows_sealed_total"], plain["open_windows"], plain["epoch"]) == (3, 2, 9)
    assert (plain["epoch_seconds_count"], plain["epoch_seconds_sum"]) == (4, 2.0)
    assert (plain["last_epoch_seconds"], plain["state_bytes"]) == (0.25, 1_234)
    assert (plain["watermark_timestamp_seconds"], plain["cut_timestamp_seconds"]) == (998, 900)
    assert plain["watermark_age_seconds"] == pytest.approx(time.time() - 998, abs=60)
    assert plain["last_sealed_delay_seconds"] == 1.5
    assert plain["last_sealed_window_timestamp_seconds"] == 880
    assert plain["process_resident_memory_bytes"] > 0


def test_json_says_what_prometheus_reads(tmp_path: Path) -> None:
    board = Board[Status]()
    board.put(status_of(tmp_path))
    with served(board) as address:
        found = scraped(address)
        families = json.loads(get(f"{address}/metrics.json")[1])
    told = {
        (s["name"], tuple(sorted(s["labels"].items()))): s["value"]
        for family in families.values()
        for s in family["samples"]
    }
    moving = {key for key in found if "age_seconds" in key[0] or key[0].startswith("process_")}
    assert told.keys() == found.keys()
    assert {k: v for k, v in told.items() if k not in moving} == {
        k: v for k, v in found.items() if k not in moving
    }


def test_what_is_not_known_yet_is_left_out(tmp_path: Path) -> None:
    board = Board[Status]()
    with served(board) as address:
        assert not [name for name, _ in scraped(address) if name.startswith(NAME)]
        board.put(
            status_of(tmp_path, commit=Commit(), standing=Standing({}, None), last_sealed=None)
        )
        names = {name.removeprefix(f"{NAME}_") for name, _ in scraped(address)}
    assert "epoch" in names
    assert not names & {
        "watermark_age_seconds",
        "cut_timestamp_seconds",
        "last_sealed_delay_seconds",
    }


def test_a_run_that_does_not_move_is_unwell_unless_its_cluster_is_away(tmp_path: Path) -> None:
    now_s = [0.0]
    board = Board[Status](clock=lambda: now_s[0])
    with served(board) as address:
        assert get(f"{address}/healthz")[0] == 200
        board.put(status_of(tmp_path))
        now_s[0] = 599
        assert json.loads(get(f"{address}/healthz")[1])["epoch"] == 9
        now_s[0] = 601
        assert get(f"{address}/healthz")[0] == 503
        board.put(status_of(tmp_path, answers=lambda: False))
        now_s[0] = 5_000
        code, body = get(f"{address}/healthz")
        assert (code, json.loads(body)["source_answers"]) == (200, False)
        assert get(f"{address}/nothing")[0] == 404


def test_a_port_that_is_taken_is_told_in_one_paragraph(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(
                UserError, match=f"--metrics-port: expected .* 127.0.0.1:{port}: Address"
            ),
            serving(registry_of(Board()), lambda: Health(True), "127.0.0.1", port),
        ):
            pass


def test_a_run_tells_after_every_epoch_and_its_last_word_is_the_truth(tmp_path: Path) -> None:
    write_json_lines(small_world(51, requests=150), tmp_path / "events", files=2)
    paths = tmp_path / "events", tmp_path / "windows", tmp_path / "state"
    told: list[Status] = []
    settings = DirectSettings(small_spec(), *paths, shards=2, epoch_rows=200)
    run(settings, told.append)
    first, last = told[0], told[-1]
    assert sum(first.standing.lag.values()) > 0 and not any(last.standing.lag.values())
    sealed = WindowStore(paths[1]).windows()
    assert last.commit.counts["windows"] == len(sealed) > 0
    assert last.last_sealed is not None and last.last_sealed.start_ms == sealed[-1].window_start_ms
    assert last.last_sealed.delay_s * 1_000 > time.time() * 1_000 - sealed[-1].cut_ms - 600_000
    # Windows of 10 s, cut 5 s after their end; the newest of the 12 begins at 110 s.
    opened = [start for start in range(0, 120_000, 10_000) if start + 15_000 > last.commit.cut]
    assert list(last.commit.open_windows) == opened
    run(replace(settings, final=True), told.append)
    windows = WindowStore(paths[1]).windows()
    assert told[-1].commit.open_windows == () and told[-1].commit.final
    assert told[-1].commit.counts["revisions"] == sum(one.counts.revisions for one in windows) > 0
    assert told[-1].state_bytes() > 0


def command(folder: Path, *more: str) -> list[str]:
    paths = {"spec": "spec.toml", "source": "events", "windows": "windows"}
    named = [word for name, path in paths.items() for word in (f"--{name}", str(folder / path))]
    return [sys.executable, "-m", "millstream", "pipeline", *named, "--shards", "2", *more]


def prepare(folder: Path) -> None:
    (folder / "spec.toml").write_text(SPEC_TOML, encoding="utf-8")
    write_json_lines(small_world(52, requests=100), folder / "events")


def test_a_following_pipeline_serves_what_it_has_done(tmp_path: Path) -> None:
    prepare(tmp_path)
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(command(tmp_path, "--follow", "--metrics-port", "0"), stderr=log)
    try:
        address = wait_for(lambda: announced(tmp_path / "log"))
        wait_for(lambda: scraped(address).get((f"{NAME}_windows_sealed_total", ())))
        found = scraped(address)
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    sealed = WindowStore(tmp_path / "windows").windows()
    assert found[f"{NAME}_windows_sealed_total", ()] == len(sealed)
    assert found[f"{NAME}_source_up", ()] == 1


def announced(log: Path) -> str | None:
    """The address that a log names."""
    lines = [line for line in log.read_text().splitlines() if "metrics at " in line]
    return lines[0].partition("metrics at ")[2].removesuffix("/metrics") if lines else None


def wait_for(look: Any, patience_s: float = 90) -> Any:
    """What `look` gives once it gives anything."""
    until = time.monotonic() + patience_s
    while not (found := look()):
        assert time.monotonic() < until
        time.sleep(0.2)
    return found


def test_the_screen_names_what_a_person_asks_first(tmp_path: Path) -> None:
    console = Console(width=120, record=True, file=(tmp_path / "screen").open("w"))
    board = Board[Status]()
    console.print(screen(board, 0.0))
    board.put(status_of(tmp_path, answers=lambda: False))
    console.print(screen(board, 998.0 + 3 * 3_600))
    text = console.export_text()
    for words in (
        "looking at the source",
        "does not answer; trying again",
        "1970-01-01 00:16:38 UTC, 3.0 h ago",
        "3 sealed, 2 open",
        "19700101T001440Z, 1.5 s after its cut",
        "bad_json 2, late 1",
    ):
        assert words in text


def test_watch_shows_a_live_view_on_a_terminal(tmp_path: Path) -> None:
    prepare(tmp_path)
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        command(tmp_path, "--final", "--watch"),
        stderr=follower,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "40"},
    )
    os.close(follower)
    shown = b"".join(iter(lambda: read_terminal(leader), b""))
    os.close(leader)
    assert process.wait(60) == 0
    assert b"watermark" in shown and b"sealed," in shown


def read_terminal(leader: int) -> bytes:
    """What a terminal shows next; nothing once its other end is closed."""
    try:
        return os.read(leader, 65_536)
    except OSError:
        return b""


def test_watch_without_a_terminal_is_refused(tmp_path: Path) -> None:
    prepare(tmp_path)
    done = subprocess.run(command(tmp_path, "--watch"), capture_output=True, text=True)
    assert done.returncode == 2
    assert "--watch: expected a terminal, received none" in done.stderr
