"""One example for each reason, worked out by hand."""

import json
from typing import Any

import pytest

from pipelines.dead_letters import DEAD_LETTER_SCHEMA, EVENT_REASONS
from pipelines.sources.raw import JsonLines, RawRows
from pipelines.validate import Validated, validate
from tests.validate.shop import EXPOSURE, ITEM, NOW_MS, ORDER, REFUND, SHOP, SOUND


def judged(stream: str, *lines: bytes) -> Validated:
    return validate(SHOP, stream, RawRows(JsonLines(b"\n".join(lines))), NOW_MS, "part-0")


def verdict(stream: str, line: bytes) -> tuple[str, str | None]:
    letters = judged(stream, line).dead_letters.to_pylist()
    assert len(letters) == 1
    return letters[0]["reason"], letters[0]["field"]


def changed(event: dict[str, Any], **fields: Any) -> bytes:
    return json.dumps({**event, **fields}).encode()


def listing(*candidates: dict[str, Any]) -> bytes:
    return changed(EXPOSURE, candidates=list(candidates))


A, B = {"item_id": "a", "position": 0}, {"item_id": "b", "position": 1}

EXAMPLES: dict[str, tuple[str, bytes, str | None]] = {
    "future": ("item", changed(ITEM, time_ms=NOW_MS + 300_001, item_id=None), "time_ms"),
    "bad_json": ("item", b'{"item_id": "a"', None),
    "bad_utf8": ("item", b'{"item_id": "\xff", "time_ms": 5}', None),
    "not_an_object": ("item", b"[1]", None),
    "missing_field": ("exposure", listing(A, {"item_id": "b"}), "candidates.position"),
    "wrong_type": ("order", changed(ORDER, item_id=7), "item_id"),
    "bad_time": ("item", changed(ITEM, time_ms=-1), "time_ms"),
    "too_long": ("item", changed(ITEM, item_id="x" * 1025), "item_id"),
    "unknown_scenario": ("order", changed(ORDER, scenario="hall"), "scenario"),
    "unknown_stream": ("refund", changed(REFUND, stream="item"), "stream"),
    "missing_value": ("order", changed(ORDER, value=None), "value"),
    "out_of_vocabulary": ("exposure", listing(A, {**B, "color": "pink"}), "candidates.color"),
    "bad_number": ("exposure", changed(EXPOSURE, age=float("nan")), "age"),
    "no_candidates": ("exposure", listing(), "candidates"),
    "bad_position": ("exposure", listing(B, A, {**A, "item_id": "c"}), "candidates.position"),
}


def test_every_reason_has_an_example() -> None:
    assert tuple(EXAMPLES) == EVENT_REASONS


@pytest.mark.parametrize("reason", EXAMPLES)
def test_an_event_is_refused_for_its_reason_and_field(reason: str) -> None:
    stream, line, field = EXAMPLES[reason]
    assert verdict(stream, line) == (reason, field)


@pytest.mark.parametrize("stream", SOUND)
def test_a_sound_event_is_accepted(stream: str) -> None:
    assert judged(stream, json.dumps(SOUND[stream]).encode()).counts == {"read": 1, "accepted": 1}


def test_an_event_at_the_limits_is_accepted() -> None:
    late = changed(ITEM, time_ms=NOW_MS + 300_000.9, item_id="x" * 1024, title="y" * 65_536)
    farthest = listing({"item_id": "a", "position": 2**31 - 1})
    assert judged("item", late).counts["accepted"] == 1
    assert judged("exposure", farthest).counts["accepted"] == 1


@pytest.mark.parametrize("position", [-1, 2**31, 2**63, 10**30])
def test_a_position_out_of_bounds_is_refused(position: int) -> None:
    line = listing({"item_id": "a", "position": position})
    assert verdict("exposure", line) == ("bad_position", "candidates.position")


@pytest.mark.parametrize(
    ("field", "value"),
    [("time_ms", "5"), ("time_ms", True), ("item_id", 5), ("value", "5"), ("tags", "x")],
)
def test_a_value_is_never_read_from_another_type(field: str, value: Any) -> None:
    assert verdict("order", changed(ORDER, **{field: value})) == ("wrong_type", field)


@pytest.mark.parametrize("number", [0, 1])
def test_zero_and_one_are_no_booleans(number: int) -> None:
    line = listing({**A, "exposed": number})
    assert verdict("exposure", line) == ("wrong_type", "candidates.exposed")


@pytest.mark.parametrize("field", ["event_id", "user_id", "item_id"])
def test_an_empty_id_names_nothing(field: str) -> None:
    assert verdict("order", changed(ORDER, **{field: ""})) == ("missing_field", field)


def test_a_candidate_was_exposed_unless_it_says_otherwise() -> None:
    events = judged("exposure", listing(A, {**B, "exposed": False})).events
    assert [one["exposed"] for one in events["candidates"][0].as_py()] == [True, False]


def test_candidates_keep_their_logged_order() -> None:
    events = judged("exposure", listing(B, A)).events
    assert [one["item_id"] for one in events["candidates"][0].as_py()] == ["b", "a"]


def test_a_fraction_of_a_millisecond_is_floored() -> None:
    lines = [changed(ITEM, time_ms=time) for time in (7.9, 7, 0.5)]
    assert judged("item", *lines).events["time_ms"].to_pylist() == [7, 7, 0]
    assert verdict("item", changed(ITEM, time_ms=-0.5)) == ("bad_time", "time_ms")


def test_unknown_fields_are_ignored() -> None:
    assert judged("item", changed(ITEM, colour={"a": [1, {}]})).counts["accepted"] == 1


def test_the_last_of_a_repeated_key_counts() -> None:
    line = b'{"item_id": 3, "time_ms": 5, "item_id": "a"}'
    assert judged("item", line).events["item_id"].to_pylist() == ["a"]


def test_a_nested_line_is_refused_beyond_two_hundred_levels() -> None:
    flat = b'{"item_id": "a", "time_ms": 5, "x": %s}'
    assert judged("item", flat % (b"[" * 199 + b"]" * 199)).counts["accepted"] == 1
    assert verdict("item", flat % (b"[" * 200 + b"]" * 200)) == ("bad_json", None)


def test_two_events_on_one_line_and_one_event_on_two_lines_are_refused() -> None:
    whole = json.dumps(ITEM).encode()
    half, rest = whole[:20], whole[20:]
    checked = judged("item", whole, whole + whole, half, rest, whole)
    assert checked.counts == {"read": 5, "accepted": 2, "bad_json": 3}


def test_blank_lines_are_no_events_and_line_ends_may_be_of_either_kind() -> None:
    whole = json.dumps(ITEM).encode()
    checked = judged("item", b"", whole + b"\r", b" \t\r", b"  " + whole)
    assert checked.counts == {"read": 2, "accepted": 2}
    assert checked.events["_position"].to_pylist() == [1, len(whole) + 7]


def test_a_position_is_where_the_line_begins_in_its_file() -> None:
    whole = json.dumps(ITEM).encode()
    raw = RawRows(JsonLines(b"\n".join([whole, b"{", whole]), offset=100))
    checked = validate(SHOP, "item", raw, NOW_MS, "a/b")
    assert checked.events["_position"].to_pylist() == [100, 103 + len(whole)]
    assert checked.events["_source"].to_pylist() == ["a/b", "a/b"]
    assert checked.dead_letters["position"].to_pylist() == [101 + len(whole)]


def test_a_long_dead_letter_keeps_its_beginning_and_its_size() -> None:
    checked = judged("item", b"x" * 70_000)
    assert checked.dead_letters.schema == DEAD_LETTER_SCHEMA
    [letter] = checked.dead_letters.to_pylist()
    assert (letter["raw"], letter["raw_bytes"]) == (b"x" * 65_536, 70_000)


def test_blocks_of_any_size_are_judged_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [changed(ITEM, time_ms=at if at % 7 else "no") for at in range(300)]
    whole = judged("item", *lines)
    monkeypatch.setattr("pipelines.validate.lines.BLOCK_BYTES", 1000)
    parts = judged("item", *lines)
    assert parts.events.equals(whole.events)
    assert parts.dead_letters.equals(whole.dead_letters)
    assert whole.counts == {"read": 300, "accepted": 257, "wrong_type": 43}


@pytest.mark.parametrize(
    ("value", "reason"),
    [(b"Inf", "bad_json"), (b"-NaN", "bad_json"), (b"\0", "bad_json"), (b"NaN", None)],
)
def test_what_an_unknown_field_holds_must_be_json_all_the_same(
    value: bytes, reason: str | None
) -> None:
    line = b'{"item_id": "a", "time_ms": 5, "x": %s}' % value
    sound = json.dumps(ITEM).encode()
    found = judged("item", *[sound] * 40, line, *[sound] * 40).dead_letters["reason"].to_pylist()
    assert found == ([] if reason is None else [reason])


@pytest.mark.parametrize("places", [[0, 0], [0, 1, 1], [1, 0, 1], [2, 1, 0, 2]])
def test_a_position_held_twice_refuses_its_own_list_only(places: list[int]) -> None:
    twice = listing(*({"item_id": str(at), "position": at} for at in places))
    once = [
        listing(*({"item_id": str(at), "position": at} for at in order))
        for order in ([0, 1], [1, 2], [2, 0], [0])
    ]
    checked = judged("exposure", *once, twice, *once)
    assert checked.counts == {"read": 9, "accepted": 8, "bad_position": 1}
    assert checked.dead_letters["raw"].to_pylist() == [twice]
