"""No sample shows anything of a later event: the answer is planted in all of them (rule 11)."""

from pathlib import Path
from typing import Any

import pytest

from schemas.hashing import hash_one
from tests.pipeline.small_world import Events, small_spec, small_world
from tests.pipeline.test_direct_driver import built, records

PLANT = "the answer"


def planted(events: Events, after_ms: int) -> Events:
    """The same events, but everything later than a moment tells."""
    return {
        stream: [_told(row) if row["time_ms"] >= after_ms else row for row in rows]
        for stream, rows in events.items()
    }


def _told(row: dict[str, Any]) -> dict[str, Any]:
    plants = ("brand", "country", "title", "query")
    told = {**row, **{name: PLANT for name in plants if name in row}}
    if "candidates" in told:
        told["age"] = -1.0
        told["candidates"] = [{**c, "brand": PLANT, "tags": [PLANT]} for c in told["candidates"]]
    return told


@pytest.mark.parametrize("moment_ms", [33_250, 60_000, 87_500])
def test_a_later_event_changes_no_earlier_sample(tmp_path: Path, moment_ms: int) -> None:
    events = small_world(21, requests=500)
    before = records(built(tmp_path / "a", events))
    after = records(built(tmp_path / "b", planted(events, moment_ms)))
    assert before.keys() == after.keys()
    earlier = 0
    for start in before:
        for one, other in zip(before[start], after[start], strict=True):
            earlier += _compare(one, other, start, moment_ms)
    assert earlier > 100


def _compare(one: dict[str, Any], other: dict[str, Any], start: int, moment_ms: int) -> int:
    if start <= moment_ms:
        assert one["history"] == other["history"]
    assert _seen(one["recent"], moment_ms) == _seen(other["recent"], moment_ms)
    mine, theirs = (
        [r for r in record["requests"] if r["time_ms"] < moment_ms] for record in (one, other)
    )
    assert _features(mine) == _features(theirs)
    return len(mine)


def _seen(recent: dict[str, list[Any]], moment_ms: int) -> list[Any]:
    """R as a target at the moment sees it: strictly earlier actions."""
    rows = zip(*recent.values(), strict=True)
    return [row for row in rows if row[0] < moment_ms]


def _features(requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Requests without their labels: those are the answer."""
    return [
        {**r, "candidates": {k: v for k, v in r["candidates"].items() if k != "labels"}}
        for r in requests
    ]


def test_the_plant_is_there_to_be_found(tmp_path: Path) -> None:
    told = records(built(tmp_path, planted(small_world(21, requests=100), 0)))
    brands = {
        brand
        for users in told.values()
        for user in users
        for request in user["requests"]
        for brand in request["candidates"]["brand"]
    }
    assert brands == {hash_one(PLANT), None}  # only search logs it
    assert "brand" in small_spec().features
