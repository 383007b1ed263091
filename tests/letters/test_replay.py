"""Dead letters come back after a fix: each once, as the bytes they came as, and nothing doubled."""

import io
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import fastavro
import pyarrow.parquet as pq
import pytest
from kafka import KafkaConsumer

from infra.kafka import Broker
from pipelines.dead_letters import (
    DEAD_LETTER_SCHEMA,
    RAW_LIMIT_BYTES,
    DeadLetter,
    dead_letter_table,
)
from pipelines.drivers.direct import run as run_direct
from pipelines.letters.box import LetterBox, Wanted
from pipelines.letters.replay import (
    CUT_SHORT,
    LATE_AGAIN,
    NO_EVENT,
    PIECE,
    REPLAYED_BEFORE,
    Values,
    replay,
)
from pipelines.letters.to_files import ToFiles
from pipelines.reports import Report, add_up
from schemas.spec import Spec, parse
from schemas.windows import WindowStore
from tests.kafka_topics import send, with_own_topics
from tests.pipeline.kafka_world import as_containers, as_datums, kafka_settings, prepared
from tests.pipeline.small_world import SPEC_TOML, Events, small_world, write_json_lines
from tests.pipeline.test_direct_driver import digests, settings

GROWN_TOML = SPEC_TOML.replace('["home", "side"]', '["attic", "home", "side"]')
"""A scenario more than the pipeline knew at first."""


def attic_world(seed: int) -> Events:
    """The small world with requests in the attic, in which no one is late."""
    events = small_world(seed, requests=150)
    for at, exposure in enumerate(events["exposure"]):
        if exposure["scenario"] == "side" and at % 2:
            exposure["scenario"] = "attic"
    return events


def files_of(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_replayed_letters_make_the_windows_that_a_fixed_spec_would_have_made(
    run, tmp_path: Path
) -> None:
    write_json_lines(attic_world(61), tmp_path / "broken" / "events", files=2)
    write_json_lines(attic_world(61), tmp_path / "right" / "events", files=2)
    (tmp_path / "grown.toml").write_text(GROWN_TOML)
    grown = parse(GROWN_TOML)
    summary = run_direct(settings(tmp_path / "broken"))
    refused = summary.totals["dead/exposure/unknown_scenario"]
    assert refused > 10
    words = ["dead-letters", "replay", tmp_path / "broken" / "windows", "--json"]
    words += ["--spec", tmp_path / "grown.toml", "--out", tmp_path / "broken" / "events"]
    words += ["--reason", "unknown_scenario"]
    once = json.loads(run(*words).out)
    assert once["replayed"] == {"exposure": refused}
    assert json.loads(run(*words).out)["replayed"] == {}
    before = files_of(tmp_path / "broken" / "events")
    anew = {"spec": grown, "windows": tmp_path / "new", "state": tmp_path / "new.state"}
    # The letters stand beside the files that hold the same events: all of them are there twice.
    twice = run_direct(settings(tmp_path / "broken", **anew))
    right = run_direct(settings(tmp_path / "right", spec=grown))
    stores = [WindowStore(folder) for folder in (tmp_path / "new", tmp_path / "right" / "windows")]
    assert digests(stores[0]) == digests(stores[1]) and len(digests(stores[0])) >= 12
    assert twice.totals["duplicate"] == right.totals["duplicate"] + refused
    again = json.loads(run(*words, "--again").out)
    assert again["replayed"] == {"exposure": refused}
    assert files_of(tmp_path / "broken" / "events") == before


class Fails(Exception):
    """The machine went down after the bytes had arrived."""


class Target:
    """Keeps what it is sent, and may then fail."""

    def __init__(self, fails: bool = False) -> None:
        self.sent: list[tuple[int, dict[str, list[bytes]]]] = []
        self.fails = fails

    def refusal(self, stream: str, value: bytes) -> str | None:
        return None

    def send(self, epoch: int, values: Values) -> None:
        self.sent.append((epoch, {stream: list(some) for stream, some in values.items()}))
        if self.fails:
            raise Fails


def buried(root: Path, epoch: int, letters: Iterable[tuple[str, bytes]]) -> None:
    """Letters of stream `click`, by reason and raw bytes."""
    rows = [DeadLetter(at, reason, None, raw) for at, (reason, raw) in enumerate(letters)]
    (root / "dead_letters").mkdir(parents=True, exist_ok=True)
    table = dead_letter_table("click", "click/a.jsonl", rows)
    pq.write_table(table, root / "dead_letters" / f"{epoch:06d}.parquet")


def test_a_letter_is_marked_only_after_it_has_arrived(tmp_path: Path) -> None:
    buried(tmp_path, 3, [("bad_json", b"a"), ("bad_json", b"b")])
    buried(tmp_path, 7, [("bad_time", b"c")])
    box, lost = LetterBox(tmp_path), Target(fails=True)
    with pytest.raises(Fails):
        replay(box, Wanted(), lost)
    assert lost.sent == [(3, {"click": [b"a", b"b"]})]
    first, second = Target(), Target()
    replay(box, Wanted(reason="bad_time"), first)
    assert first.sent == [(7, {"click": [b"c"]})]
    done = replay(box, Wanted(), second)
    assert second.sent == [(3, {"click": [b"a", b"b"]})]
    assert done.left_out == {REPLAYED_BEFORE: 1}


def test_what_holds_no_whole_event_is_left_out_and_said_so(tmp_path: Path) -> None:
    buried(
        tmp_path,
        1,
        [
            ("too_long", b"x" * (RAW_LIMIT_BYTES + 1)),
            ("empty_message", b""),
            ("deleted", b"offsets 3 to 9 were deleted"),
            ("truncated", b"half of a file"),
            ("bad_avro", b"a block"),
            ("late", b"{}"),
            ("bad_json", b"{"),
            ("bad_avro", b"\xc3\x01 a datum"),
            ("bad_avro", b"Obj\x01 a container"),
        ],
    )
    target = Target()
    done = replay(LetterBox(tmp_path), Wanted(), target)
    assert done.left_out == {CUT_SHORT: 1, NO_EVENT: 3, PIECE: 1, LATE_AGAIN: 1}
    assert target.sent[0][1]["click"] == [b"{", b"\xc3\x01 a datum", b"Obj\x01 a container"]
    named = Target()
    replay(LetterBox(tmp_path), Wanted(reason="late"), named)
    assert named.sent == [(1, {"click": [b"{}"]})]


def test_files_hold_an_event_a_line_and_a_container_each(tmp_path: Path) -> None:
    spec = parse(SPEC_TOML)
    event = next(one for one in small_world(62)["click"] if one["value"] is not None)
    (datum,) = as_datums(spec, "click", [event])
    (container,) = as_containers(spec, "click", [event])
    target = ToFiles(tmp_path, spec)
    assert target.refusal("gone", b"{}") and target.refusal("click", b"\xc3\x01" + bytes(20))
    assert target.refusal("click", datum) is None
    spread = json.dumps(event, indent=2).encode()
    target.send(4, {"click": [spread, datum, container]})
    (lines,) = (tmp_path / "click").glob("dead-letters-000004-*.jsonl")
    assert [json.loads(line) for line in lines.read_bytes().splitlines()] == [event, event]
    (file,) = (tmp_path / "click").glob("dead-letters-000004-*.avro")
    assert list(fastavro.reader(io.BytesIO(file.read_bytes()))) == [event]


def values_of(broker: Broker, topic: str) -> list[bytes]:
    """All values of a topic."""
    servers = {"bootstrap_servers": broker.address, "auto_offset_reset": "earliest"}
    with KafkaConsumer(topic, consumer_timeout_ms=3_000, **servers) as consumer:
        return [message.value for message in consumer]


def test_messages_go_back_to_their_topics_as_the_bytes_they_were(
    run, kafka: Broker, tmp_path: Path
) -> None:
    spec = with_own_topics(parse(SPEC_TOML))
    grown = with_feature(spec)
    prepared(kafka, spec)
    topic = spec.streams["click"].topic
    clicks: list[dict[str, Any]] = small_world(63)["click"][:4]
    new = [*as_datums(grown, "click", [{**one, "colour": "red"} for one in clicks[:2]])]
    attic = json.dumps({**clicks[2], "scenario": "attic"}, indent=1).encode()
    send(kafka, {topic: [*new, attic, b"{nonsense"]}, partition=1)
    first = run_direct(kafka_settings(kafka, spec, tmp_path))
    assert first.totals["dead/click/unknown_schema"] == 2
    (tmp_path / "grown.toml").write_text(toml_of(grown))
    words = ["dead-letters", "replay", tmp_path / "windows", "--spec", tmp_path / "grown.toml"]
    answer = run(*words, "--reason", "unknown_schema", "--kafka", kafka.address)
    assert answer.code == 0 and "2 letters replayed" in answer.out
    assert "click" in run(*words, "--kafka", kafka.address).out
    sent = values_of(kafka, topic)
    assert sorted(sent) == sorted([*new, attic, b"{nonsense"] * 2)
    # A run that knows the new schema reads both copies: one of each is a duplicate.
    fixed = run_direct(kafka_settings(kafka, grown, tmp_path / "fixed"))
    accepted = fixed.totals["accepted/click"]
    assert (accepted, fixed.totals["duplicate"]) == (6, 3)
    assert fixed.totals["dead/click/bad_json"] == 2


def with_feature(spec: Spec) -> Spec:
    """The spec with a scenario and an item feature more, and the topics that it had."""
    return parse(toml_of(spec))


def toml_of(spec: Spec) -> str:
    """The text of that spec."""
    text = GROWN_TOML.replace(
        "[sequences]", 'colour = { owner = "item", type = "id" }\n[sequences]'
    )
    text = text.replace('features = ["brand"]', 'features = ["brand", "colour"]')
    for name, stream in spec.streams.items():
        text = text.replace(f"\n{name} = {{ kind", f'\n{name} = {{ topic = "{stream.topic}", kind')
    return text


def test_people_see_what_there_is_and_what_it_came_as(run, tmp_path: Path) -> None:
    buried(tmp_path, 1, [("bad_json", b"{nonsense"), ("bad_utf8", b"\xff"), ("bad_json", b"{")])
    other = dead_letter_table("view", "views/0", [DeadLetter(5, "late", "time_ms", b"{}")])
    pq.write_table(other, tmp_path / "dead_letters" / "000002.parquet")
    rows = json.loads(run("dead-letters", "ls", tmp_path, "--json").out)
    assert [(r["stream"], r["reason"], r["letters"], r["bytes"], r["replayed"]) for r in rows] == [
        ("click", "bad_json", 2, 10, 0),
        ("click", "bad_utf8", 1, 1, 0),
        ("view", "late", 1, 2, 0),
    ]
    by_source = run("dead-letters", "ls", tmp_path, "--by-source", "--stream", "view").out
    assert "views/0" in by_source and "click" not in by_source
    shown = run("dead-letters", "show", tmp_path, "--reason", "bad_json", "--limit", "1").out
    assert shown.splitlines() == ["click: bad_json; click/a.jsonl at 0; 9 bytes", "{nonsense"]
    (odd,) = json.loads(run("dead-letters", "show", tmp_path, "--reason", "bad_utf8", "--json").out)
    assert (odd["raw_base64"], odd["position"]) == ("/w==", 1)
    wrong = run("dead-letters", "ls", tmp_path, "--reason", "bad_jason")
    assert wrong.code == 2 and "--reason: expected one of future" in wrong.err


def test_a_store_without_letters_and_one_with_foreign_files_are_told_apart(
    run, tmp_path: Path
) -> None:
    assert run("dead-letters", "ls", tmp_path).out == "no dead letter\n"
    missing = run("dead-letters", "ls", tmp_path / "nowhere")
    assert missing.code == 1 and "expected a folder of windows" in missing.err
    (tmp_path / "dead_letters").mkdir()
    (tmp_path / "dead_letters" / "000001.parquet").write_bytes(b"no parquet")
    foreign = run("dead-letters", "ls", tmp_path)
    assert foreign.code == 1 and "expected dead letters as the pipeline writes them" in foreign.err


def test_letters_of_equal_place_stand_in_the_order_of_their_bytes() -> None:
    """So that a row names the same letter however often an epoch is run."""
    letters = [DeadLetter(1, "late", None, raw) for raw in (b"b", b"a")]
    tables = [dead_letter_table("click", "c/0", [letter]) for letter in letters]
    reports = [Report.of(Counter(), table) for table in tables]
    for order in (reports, reports[::-1]):
        assert add_up(order).letters()["raw"].to_pylist() == [b"a", b"b"]
    assert add_up([]).letters().schema == DEAD_LETTER_SCHEMA
