"""Damaged lines get the same verdicts, fields and events as from the slow validator."""

import json
import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.sources.raw import JsonLines, RawRows, Rows
from pipelines.validate import events_schema, validate
from pipelines.validate.strict_json import LineReader
from schemas.events import arrow_schema
from tests.validate.shop import NOW_MS, SHOP, SOUND
from tests.validate.slow import examine

LITERALS = [
    *("NaN", "Infinity", "-Infinity", "Inf", "-NaN", "1e400", "-1e400", "1e-400", "-0", "-0.0"),
    *("9223372036854775808", "-9223372036854775809", "1" + "0" * 310, "1.5", "-1.5", "01", "1."),
    *("2147483647", "2147483648", "null", "true", "[]", "{}", "[null]", "[1]", '["a",null]'),
    *('""', '"1"', '"\\ud800"', '"\\ud83d\\ude00"', '"\\udc00x"', '"\\u0000"', '"\\x"', "[{}]"),
    *('[{"item_id":"a","position":0},null]', '[{"item_id":"","position":0},5]', "tru", ""),
    *("253402300800000", "1700000300000", "1700000300000.9", "1700000300001", "-0.5", "1e15"),
    *('"' + "x" * length + '"' for length in (1024, 1025, 65536, 65537)),
    "[" * 300 + "]" * 300,
    '{"a":' * 30 + "1" + "}" * 30,
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=6,
)
VALUES = st.sampled_from(LITERALS) | JSON.map(json.dumps)


def positions_in(text: str, mark: str) -> list[int]:
    return [at for at, letter in enumerate(text) if letter == mark]


@st.composite
def lines(draw: st.DrawFn, stream: str) -> bytes:
    """A sound event with, perhaps, some values exchanged, keys repeated and bytes damaged."""
    text = json.dumps(SOUND[stream], separators=(",", ":"))
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 1, 2, 3]))):
        text = _with_value(draw, text)
    line = text.encode("utf-8", "surrogatepass")
    damage = draw(st.sampled_from(["none"] * 6 + ["cut", "flip", "junk", "twice", "space"]))
    at = draw(st.integers(0, len(line) - 1))
    if damage == "cut":
        return line[:at]
    if damage == "flip":
        return (
            line[:at]
            + bytes([draw(st.integers(0, 255).filter(lambda b: b != 10))])
            + line[at + 1 :]
        )
    if damage == "junk":
        return draw(st.binary(max_size=8)).replace(b"\n", b"") + line[at:]
    if damage == "twice":
        return line + line
    return b" \t" + line + b" \r" if damage == "space" else line


def _with_value(draw: st.DrawFn, text: str) -> str:
    """Text with the value after some colon exchanged, its key dropped, or a key added."""
    colon = draw(st.sampled_from(positions_in(text, ":") or [0]))
    stop = next((at for at in range(colon + 1, len(text)) if text[at] in ",}]["), len(text))
    value = draw(VALUES)
    change = draw(st.sampled_from(["value", "value", "rename", "repeat", "extra"]))
    if change == "value":
        return text[: colon + 1] + value + text[stop:]
    if change == "rename":
        return text[: max(0, colon - 2)] + 'z"' + text[colon:]
    key = (
        draw(st.sampled_from(["user_id", "time_ms", "value", "zzz"]))
        if change == "repeat"
        else "zz"
    )
    return "{" + f'"{key}":{value},' + text[1:]


def check(stream: str, raw_lines: list[bytes]) -> None:
    raw_lines = b"\n".join(raw_lines).split(b"\n")
    data = b"".join(line + b"\n" for line in raw_lines)
    checked = validate(SHOP, stream, RawRows(JsonLines(data, 1000)), NOW_MS, "part-0")
    events, dead = checked.events, checked.dead_letters
    assert events.schema == events_schema(SHOP, stream)
    events.validate(full=True)
    expected_events, expected_dead, position = [], [], 1000
    for line in raw_lines:
        if line.strip(b" \t\r"):
            verdict = examine(SHOP, stream, line.removesuffix(b"\r"), NOW_MS)
            if isinstance(verdict, dict):
                expected_events.append({**verdict, "_source": "part-0", "_position": position})
            else:
                raw = line.removesuffix(b"\r")
                expected_dead.append((position, *verdict, raw[:65536], len(raw)))
        position += len(line) + 1
    found = [
        tuple(letter[name] for name in ("position", "reason", "field", "raw", "raw_bytes"))
        for letter in dead.to_pylist()
    ]
    assert found == expected_dead
    assert repr(events.to_pylist()) == repr(expected_events)
    assert checked.counts["read"] == len(expected_events) + len(expected_dead)


@pytest.mark.parametrize("stream", SOUND)
def test_damaged_lines_are_judged_as_by_the_slow_validator(stream: str) -> None:
    @settings(max_examples=70, deadline=None)
    @given(st.lists(lines(stream), min_size=1, max_size=6))
    def judged_alike(raw_lines: list[bytes]) -> None:
        check(stream, raw_lines)

    judged_alike()


@pytest.mark.parametrize("stream", ["exposure", "order"])
def test_a_verdict_does_not_depend_on_the_other_lines_of_a_block(stream: str) -> None:
    @settings(max_examples=6, deadline=None)
    @given(st.lists(lines(stream), min_size=8, max_size=12), st.integers(1, 70), st.randoms())
    def judged_alike(damaged: list[bytes], every: int, random: Any) -> None:
        sound = json.dumps(SOUND[stream]).encode()
        raw_lines = [*damaged, *[sound] * (every * len(damaged))]
        random.shuffle(raw_lines)
        check(stream, raw_lines)

    judged_alike()


@pytest.mark.parametrize("stream", SOUND)
def test_sound_lines_are_not_read_one_by_one_for_what_stands_between_them(
    stream: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That costs ten times as much; a producer gone wrong must not slow down all others."""
    sound = SOUND[stream]
    broken = [json.dumps(sound)[:-9], "[1]", json.dumps({**sound, "note": "\ud800"})]
    broken += [json.dumps({**sound, name: value}) for name in sound for value in (True, [[1]])]
    broken += [json.dumps({**sound, "time_ms": time_ms}) for time_ms in (10**30, "now")]
    lines = [line.encode() for one in broken for line in (one, json.dumps(sound), one)]
    read: list[bytes] = []
    row = LineReader.row

    def noted(reader: LineReader, line: bytes) -> Any:
        read.append(line)
        return row(reader, line)

    monkeypatch.setattr(LineReader, "row", noted)
    raw = RawRows(JsonLines(b"\n".join(lines * 20)))
    assert len(validate(SHOP, stream, raw, NOW_MS, "part-0").rows) >= 20 * len(broken)
    assert len(read) <= 20 * 2 * len(broken) and json.dumps(sound).encode() not in read


@pytest.mark.parametrize("stream", SOUND)
def test_typed_rows_are_judged_as_the_same_events_in_json(stream: str) -> None:
    schema = arrow_schema(SHOP, stream)

    @settings(max_examples=30, deadline=None)
    @given(st.lists(lines(stream), min_size=1, max_size=8))
    def judged_alike(raw_lines: list[bytes]) -> None:
        verdicts = [examine(SHOP, stream, line.strip(), NOW_MS) for line in raw_lines]
        events = [_typed(line, schema) for line in raw_lines]
        kept = [at for at, event in enumerate(events) if event is not None]
        table = pa.Table.from_pylist([events[at] for at in kept], schema=_nullable(schema))
        raw = RawRows(Rows(table, np.array(kept, np.int64)))
        checked = validate(SHOP, stream, raw, NOW_MS, "part-0")
        accepted = [at for at in kept if isinstance(verdicts[at], dict)]
        assert checked.events["_position"].to_pylist() == accepted
        refused = [(at, *verdicts[at]) for at in kept if at not in accepted]
        dead = checked.dead_letters.select(["position", "reason", "field"]).to_pylist()
        assert [tuple(letter.values()) for letter in dead] == refused

    judged_alike()


def _typed(line: bytes, schema: pa.Schema) -> dict[str, Any] | None:
    """The line as a typed row; None if its types do not allow that."""
    try:
        event = json.loads(line)
        pa.Table.from_pylist([event], schema=_nullable(schema))
        event["time_ms"] = math.floor(event["time_ms"])
        verdict = examine(SHOP, _stream_of(schema), line.strip(), NOW_MS)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, pa.ArrowException):
        return None
    if isinstance(verdict, tuple) and verdict[0] in ("wrong_type", "bad_utf8", "bad_json"):
        return None
    return event


def _stream_of(schema: pa.Schema) -> str:
    return next(stream for stream in SOUND if arrow_schema(SHOP, stream) == schema)


def _nullable(schema: pa.Schema) -> pa.Schema:
    return pa.schema([pa.field(part.name, _loose(part.type)) for part in schema])


def _loose(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_list(kind):
        return pa.list_(_loose(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(part.name, _loose(part.type)) for part in kind])
    return kind
