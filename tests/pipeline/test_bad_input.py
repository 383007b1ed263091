"""Bad events among good ones: each becomes a dead letter with its reason, nothing else is lost."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from pipelines.drivers.direct import run
from schemas.windows import WindowStore
from tests.pipeline.small_world import small_world, write_json_lines
from tests.pipeline.test_direct_driver import digests, settings

GOOD: dict[str, Any] = {
    "event_id": "bad",
    "user_id": "u1",
    "time_ms": 1_000,
    "item_id": "i1",
    "scenario": "home",
    "request_id": None,
    "value": None,
}
BAD = {
    "future": json.dumps(GOOD | {"time_ms": 4_102_444_800_000}),
    "bad_time": json.dumps(GOOD | {"time_ms": -1}),
    "too_long": json.dumps(GOOD | {"user_id": "u" * 10_000_000}),
    "wrong_type": json.dumps(GOOD | {"item_id": 7}),
    "missing_field": json.dumps({name: v for name, v in GOOD.items() if name != "item_id"}),
    "unknown_scenario": json.dumps(GOOD | {"scenario": "nowhere"}),
    "bad_json": '{"event_id": "bad", ',
}


def test_bad_events_change_no_window_and_none_is_lost(tmp_path: Path) -> None:
    events = small_world(31, requests=150)
    for name in ("good", "mixed"):
        write_json_lines(events, tmp_path / name / "events")
    lines = [text.encode() for text in BAD.values()]
    (tmp_path / "mixed" / "events" / "click" / "bad.jsonl").write_bytes(
        b"\n".join([*lines, b'{"event_id": "\xff"}', b""])
    )
    clean, summary = run(settings(tmp_path / "good")), run(settings(tmp_path / "mixed"))
    stores = [WindowStore(tmp_path / name / "windows") for name in ("good", "mixed")]
    assert digests(stores[0]) == digests(stores[1])
    reasons = {*BAD, "bad_utf8"}
    assert {name: summary.totals[f"dead/click/{name}"] for name in reasons} == dict.fromkeys(
        reasons, 1
    )
    letters = pq.read_table(tmp_path / "mixed" / "windows" / "dead_letters").to_pylist()
    bad = [letter for letter in letters if letter["source"].endswith("bad.jsonl")]
    assert {letter["reason"] for letter in bad} == reasons
    huge = next(letter for letter in bad if letter["reason"] == "too_long")
    assert huge["raw_bytes"] > 10_000_000 > len(huge["raw"])
    assert summary.totals["accepted/click"] == clean.totals["accepted/click"]
