"""One user's events out of files: all of them, in their places, whatever the format."""

import json
from pathlib import Path
from typing import Any

import fastavro
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.explain.events import UNREAD, UserEvents
from pipelines.explain.gather import Wanted, gather, narrowed
from pipelines.explain.progress import Progress
from pipelines.sources.files import FilesSource
from pipelines.sources.raw import JsonLines, RawRows, Rows
from pipelines.validate import validate
from schemas.errors import UserError
from schemas.events import arrow_schema, avro_schema
from tests.pipeline.small_world import Events, small_spec, small_world, write_json_lines

FAR_MS = 10**13
SPEC = small_spec()
WORLD = small_world(3, requests=120)


def gathered(root: Path, wanted: Wanted, progress: Progress | None = None) -> UserEvents:
    return gather(FilesSource(root, SPEC), wanted, progress or Progress(), FAR_MS)


def write_parquet(events: Events, root: Path) -> None:
    for stream, rows in events.items():
        (root / stream).mkdir(parents=True)
        table = pa.Table.from_pylist(rows, schema=arrow_schema(SPEC, stream))
        pq.write_table(table, root / stream / "0.parquet", row_group_size=50)


def write_avro(events: Events, root: Path) -> None:
    for stream, rows in events.items():
        (root / stream).mkdir(parents=True)
        with (root / stream / "0.avro").open("wb") as file:
            fastavro.writer(file, avro_schema(SPEC, stream), rows, sync_interval=2000)


def facts(found: UserEvents) -> dict[str, list[Any]]:
    """All that was found but for places, sorted."""
    return {
        "exposure": sorted(
            (r.time_ms, r.request_id, r.scenario, str(r.query), r.candidates)
            for r in found.requests
        ),
        "feedback": sorted(
            (f.time_ms, f.stream, f.event_id, f.item, f.value, str(f.scenario), str(f.request_id))
            for f in found.feedback
        ),
        "refund": sorted((r.time_ms, r.stream, r.event_id) for r in found.retractions),
        "item": sorted((v.time_ms, v.item, str(v.text)) for v in found.versions),
        "digests": sorted(e.reading.digest for e in found.read),
    }


@pytest.mark.parametrize("write", [write_parquet, write_avro])
def test_every_format_gives_the_same_events(write, tmp_path: Path) -> None:
    write_json_lines(WORLD, tmp_path / "lines", files=3)
    write(WORLD, tmp_path / "typed")
    wanted = Wanted("u7", "i1", ("i1", "i2"))
    lines, typed = (gathered(tmp_path / name, wanted) for name in ("lines", "typed"))
    assert facts(lines) == facts(typed)


def test_all_of_the_users_events_are_found_and_none_of_others(tmp_path: Path) -> None:
    write_json_lines(WORLD, tmp_path)
    found = gathered(tmp_path, Wanted("u7", "i1", ("i1",)))
    mine = {stream: [e for e in rows if e.get("user_id") == "u7"] for stream, rows in WORLD.items()}
    assert len(found.requests) == len(mine["exposure"]) > 0
    assert len(found.feedback) == len(mine["click"]) + len(mine["buy"]) > 0
    assert len(found.retractions) == len(mine["refund"])
    shelved = [e for e in WORLD["item"] if e["item_id"] == "i1"]
    words = [
        None if e["title"] is None else " ".join([e["title"], *(e["tags"] or [])]) for e in shelved
    ]
    assert sorted(str(v.text) for v in found.versions) == sorted(map(str, words))
    assert gathered(tmp_path, Wanted("u7", "i1")).versions == []


def test_an_event_tells_where_it_was_read(tmp_path: Path) -> None:
    write_json_lines(WORLD, tmp_path, files=2)
    found = gathered(tmp_path, Wanted("u7", "i1"))
    for event in found.feedback:
        with (tmp_path / event.reading.source).open("rb") as file:
            file.seek(event.reading.position)
            assert json.loads(file.readline())["event_id"] == event.event_id


def test_an_id_that_is_escaped_in_the_file_is_found(tmp_path: Path) -> None:
    user = 'ü "x" \\ 日本'
    event = {**WORLD["click"][0], "user_id": user}
    (tmp_path / "click").mkdir()
    lines = [json.dumps(event, ensure_ascii=ascii_only) for ascii_only in (True, False)]
    (tmp_path / "click" / "0.jsonl").write_text("\n".join([*lines, ""]), encoding="utf-8")
    assert len(gathered(tmp_path, Wanted(user, "i1")).feedback) == 2


def test_unusable_feedback_of_the_user_on_the_item_is_told(tmp_path: Path) -> None:
    good = {**WORLD["click"][0], "user_id": "u7", "item_id": "i1"}
    bad = [
        json.dumps({**good, "scenario": "nowhere"}),
        json.dumps({**good, "time_ms": "soon"}),
        json.dumps({**good, "item_id": "i2", "time_ms": "soon"}),
        json.dumps({**good, "user_id": "u8", "time_ms": "soon"}),
        "not json but of u7",
    ]
    (tmp_path / "click").mkdir()
    (tmp_path / "click" / "0.jsonl").write_text("\n".join([*bad, ""]))
    found = gathered(tmp_path, Wanted("u7", "i1"))
    told = [(one.reason, one.field, one.position) for one in found.unusable]
    assert told == [
        ("unknown_scenario", "scenario", 0),
        ("wrong_type", "time_ms", len(bad[0]) + 1),
    ]


def test_what_lies_beyond_the_committed_offsets_is_unread(tmp_path: Path) -> None:
    from pipelines.drivers.direct.readings import Readings

    write_json_lines({"click": [{**WORLD["click"][0], "user_id": "u7"}] * 2}, tmp_path)
    first = (tmp_path / "click" / "000.jsonl").read_bytes().index(b"\n") + 1
    for unread, expected in (({"click/000.jsonl": first}, [None, UNREAD]), ({}, [UNREAD] * 2)):
        progress = Progress(Readings({}), 0, unread)
        found = gathered(tmp_path, Wanted("u7", "i1"), progress).feedback
        assert [event.reading.refused for event in found] == expected


def test_a_source_that_is_none_is_told_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected a folder with a folder for each stream"):
        gathered(tmp_path / "none", Wanted("u7", "i1"))


GOOD = {**WORLD["click"][0], "event_id": "e", "time_ms": 5, "item_id": "i1"}
LINES = st.sampled_from(
    [
        *(json.dumps({**GOOD, "user_id": user}).encode() for user in ("u7", "u8", "ü7")),
        json.dumps({**GOOD, "user_id": "ü7"}, ensure_ascii=False).encode(),
        b'{"user_id": "\\u0075\\u0037", ' + json.dumps(GOOD)[1:].encode(),
        json.dumps({**GOOD, "user_id": "u7", "item_id": 3}).encode(),
        b"u7",
        b"",
        b"  ",
        b'{"user_id": "u7\xff"}',
        json.dumps({**GOOD, "user_id": "u8", "item_id": "u7"}).encode() + b"\r",
    ]
)


@given(st.lists(LINES, max_size=12), st.booleans())
def test_narrowed_lines_hold_all_events_of_the_user_in_their_places(
    lines: list[bytes], ends: bool
) -> None:
    raw = RawRows(JsonLines(b"\n".join(lines) + b"\n" * ends, 100))
    for user in ("u7", "ü7"):
        few = narrowed(raw, "user_id", [user])
        seen = [validate(SPEC, "click", one, FAR_MS, "file") for one in (raw, few)]
        whole, part = (one.events.filter(pc.equal(one.events["user_id"], user)) for one in seen)
        assert part.equals(whole)


def test_lines_of_others_are_not_parsed_and_typed_rows_are_filtered() -> None:
    lines = [json.dumps({**GOOD, "user_id": user}).encode() for user in ("u7", "u8", "u7")]
    few = narrowed(RawRows(JsonLines(b"\n".join(lines))), "user_id", ["u7"]).content
    assert isinstance(few, JsonLines)
    assert few.data == b"\n".join([lines[0], lines[2]])
    table = pa.table({"user_id": pa.array(["u7", "u8", None, "u7"]).dictionary_encode()})
    kept = narrowed(RawRows(Rows(table, np.arange(4))), "user_id", ["u7"]).content
    assert isinstance(kept, Rows)
    assert kept.positions.tolist() == [0, 3]
    odd = RawRows(Rows(pa.table({"user_id": [7]}), np.arange(1)))
    assert narrowed(odd, "user_id", ["u7"]) is odd
    assert narrowed(odd, "item_id", ["u7"]) is odd
