"""The page on operating: its commands are run, in their order; its metrics are all there are."""

import json
import re
import shlex
import signal
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from infra.kafka import Broker
from millstream.cli import build_parser
from millstream.local_mlflow import free_port
from schemas.spec import parse
from schemas.windows import WindowStore
from tests.docs.page import commands, done, started
from tests.kafka_topics import with_own_topics
from tests.pipeline.kafka_world import prepared
from tests.pipeline.small_world import SPEC_TOML, small_world, write_json_lines
from tests.pipeline.test_direct_driver import digests

PAGE = Path(__file__).parents[2] / "docs" / "operate.md"
PORT = "9464"
NAME = "millstream_pipeline_"
GROWN_TOML = SPEC_TOML.replace('["home", "side"]', '["attic", "home", "side"]')


@pytest.fixture
def folder(tmp_path: Path, kafka: Broker) -> Path:
    """What the page takes for granted: a spec, a grown one, events of which some are refused."""
    events = small_world(91, requests=150)
    for exposure in events["exposure"][::10]:
        exposure["scenario"] = "attic"
    spec = with_own_topics(parse(SPEC_TOML))
    prepared(kafka, spec)
    for name, text in (("spec.toml", SPEC_TOML), ("grown.toml", GROWN_TOML)):
        for stream, one in spec.streams.items():
            text = text.replace(
                f"\n{stream} = {{ kind", f'\n{stream} = {{ topic = "{one.topic}", kind'
            )
        (tmp_path / name).write_text(text, encoding="utf-8")
    write_json_lines(events, tmp_path / "events")
    (tmp_path / "backup").mkdir()
    return tmp_path


@contextmanager
def following(line: str, folder: Path, port: str) -> Iterator[None]:
    """With the pipeline running until its first windows are sealed and afterwards."""
    process = started(line, folder)
    try:
        until = time.monotonic() + 120
        while not list(folder.glob("windows/*/_MANIFEST.json")):
            assert process.poll() is None and time.monotonic() < until
            time.sleep(0.3)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=120)
    assert process.returncode == 0


def test_every_command_of_the_page_runs_and_does_what_it_says(folder: Path, kafka: Broker) -> None:
    port = str(free_port())
    lines = [
        line.replace("HOST:PORT", kafka.address).replace(PORT, port) for line in commands(PAGE)
    ]
    follow = next(at for at, line in enumerate(lines) if "--follow" in line)
    last_curl = max(at for at, line in enumerate(lines) if line.startswith("curl"))
    answers = [done(line, folder) for line in lines[:follow]]
    with following(lines[follow], folder, port):
        answers.append("")
        for line in lines[follow + 1 : last_curl + 1]:
            with urllib.request.urlopen(line.split()[-1], timeout=10) as answer:
                answers.append(answer.read().decode())
    answers += [done(line, folder) for line in lines[last_curl + 1 :]]
    said = dict(zip(lines, answers, strict=True))
    assert_that_commands_did_what_they_say(said, folder)


def assert_that_commands_did_what_they_say(said: dict[str, str], folder: Path) -> None:
    def of(*words: str) -> str:
        return next(text for line, text in said.items() if all(word in line for word in words))

    assert json.loads(of("/healthz"))["well"]
    assert "unknown_scenario" in of("dead-letters ls")
    assert '"attic"' in of("dead-letters show")
    lines = (folder / "events" / "exposure" / "000.jsonl").read_text(encoding="utf-8")
    refused = lines.count('"attic"')
    assert refused >= 15
    assert f"{refused} letters replayed" in of("dead-letters replay", "--out")
    assert "0 letters replayed" in of("dead-letters replay", "--kafka")
    assert "32 shards, 16 before" in of("rescale")
    assert ", 0 problems" in of("windows verify rebuilt")
    assert (folder / "backup" / "windows.state" / "identity.json").exists()
    kept, rebuilt = (WindowStore(folder / name) for name in ("windows", "rebuilt"))
    assert digests(kept).keys() == digests(rebuilt).keys()
    told = {f.name for f in text_string_to_metric_families(of("/metrics "[:8], "curl"))}
    assert f"{NAME}open_windows" in told


def test_what_stands_on_the_page_can_be_typed() -> None:
    """Also within a service's file or a table."""
    parser = build_parser()
    pattern = r"(?:^    .*?|\s)millstream ((?:pipeline|dead-letters|windows) .*)"
    found = re.findall(pattern, PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(found) >= 12
    for words in found:
        parser.parse_args(shlex.split(words))


def test_the_page_names_every_metric_and_no_other(tmp_path: Path) -> None:
    from millstream.monitor import Board
    from millstream.monitor.pipeline_metrics import PipelineCollector
    from tests.monitor.test_pipeline_metrics import status_of

    board = Board()
    board.put(status_of(tmp_path))
    there = set()
    for family in PipelineCollector(board).collect():
        suffix = "_total" if family.type == "counter" else ""
        there.add(family.name.removeprefix(NAME) + suffix)
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    table = [row.split("|")[1] for row in rows]
    named = {name for cell in table for name in re.findall(r"`([a-z_]+)(?:\{[a-z,]+\})?`", cell)}
    assert there <= named
    changes = {"sequences", "time", "models", "learner", "source", "window", "target", "name"}
    assert named - changes - {"deleted"} <= there | {"dead_letters_total"}
