"""Kafka messages of every form, whole and broken, without a broker."""

import io
import json
from typing import Any

import fastavro
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.dead_letters import dead_letter_table
from pipelines.sources.kafka.messages import Messages, decode, rows_in
from pipelines.sources.kafka.single_object import header_of
from pipelines.sources.raw import JsonLines, RawRows
from pipelines.validate import Validated, validate
from schemas.events import avro_schema
from tests.validate.shop import EXPOSURE, ITEM, NOW_MS, SHOP

EMPTY = 0xC15D213AA4D7A795
"""The fingerprint of no bytes, from the Avro specification."""


def rabin(text: bytes) -> int:
    """CRC-64-AVRO bit by bit, as the Avro specification's Java does it."""
    value = EMPTY
    for byte in text:
        value ^= byte
        for _ in range(8):
            value = (value >> 1) ^ (EMPTY if value & 1 else 0)
    return value


def items(count: int, first: int = 0) -> list[dict[str, Any]]:
    return [{**ITEM, "item_id": f"i{at}", "time_ms": at} for at in range(first, first + count)]


def datum(row: dict[str, Any], stream: str = "item") -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(avro_schema(SHOP, stream)), row)
    return out.getvalue()


def single(row: dict[str, Any], stream: str = "item") -> bytes:
    return header_of(avro_schema(SHOP, stream)) + datum(row, stream)


def container(rows: list[dict[str, Any]], codec: str = "null", every: int = 16_000) -> bytes:
    out = io.BytesIO()
    schema = fastavro.parse_schema(avro_schema(SHOP, "item"))
    fastavro.writer(out, schema, rows, codec, every, sync_marker=b"s" * 16)
    return out.getvalue()


def line(row: dict[str, Any]) -> bytes:
    return json.dumps(row).encode()


def judged(values: list[bytes | None], stream: str = "item", first: int = 100) -> Validated:
    """What becomes of messages whose offsets count from `first`, every second one missing."""
    offsets = first + 2 * np.arange(len(values))
    contents, letters = decode(SHOP, stream, Messages(values, offsets))
    raw = RawRows(contents, dead_letter_table(stream, "items/0", letters))
    return validate(SHOP, stream, raw, NOW_MS, "items/0")


def ids(checked: Validated) -> list[str]:
    return checked.events["item_id"].to_pylist()


def letters(checked: Validated) -> list[tuple[int, str, bytes]]:
    table = checked.dead_letters
    columns = (table[name].to_pylist() for name in ("position", "reason", "raw"))
    return sorted(zip(*columns, strict=True))


def test_the_fingerprint_is_the_one_of_the_specification() -> None:
    assert header_of("null")[:2] == b"\xc3\x01"  # type: ignore[arg-type]
    assert int.from_bytes(header_of("null")[2:], "little") == 7195948357588979594  # type: ignore[arg-type]
    schema = {"type": "record", "name": "r", "doc": "left out", "fields": [
        {"name": "a", "type": "long", "default": 3}]}  # fmt: skip
    canonical = b'{"name":"r","type":"record","fields":[{"name":"a","type":"long"}]}'
    assert int.from_bytes(header_of(schema)[2:], "little") == rabin(canonical)


def test_all_forms_mix_in_one_partition() -> None:
    rows = items(9)
    values = [line(rows[0]), single(rows[1]), container(rows[2:5]), line(rows[5]),
              container(rows[6:8], "deflate"), single(rows[8])]  # fmt: skip
    checked = judged(values)
    found = dict(zip(ids(checked), checked.events["_position"].to_pylist(), strict=True))
    assert found == {"i0": 100, "i1": 102, "i2": 104, "i3": 104, "i4": 104, "i5": 106,
                     "i6": 108, "i7": 108, "i8": 110}  # fmt: skip
    assert letters(checked) == []
    assert set(checked.events["_source"].to_pylist()) == {"items/0"}
    assert [rows_in(value) for value in [*values, None, b"Obj\x01"]] == [1, 1, 3, 1, 2, 1, 1, 1]


@pytest.mark.parametrize("codec", ["null", "deflate", "snappy", "zstandard"])
def test_containers_are_read_in_every_codec(codec: str) -> None:
    assert sorted(ids(judged([container(items(200), codec, every=500)]))) == sorted(
        row["item_id"] for row in items(200)
    )


def test_a_message_of_json_may_span_lines_and_begin_or_end_in_blanks() -> None:
    pretty = json.dumps(ITEM, indent=2).encode()
    checked = judged([pretty, b"\n " + line(ITEM) + b"\r\n", line(ITEM)])
    assert checked.events["_position"].to_pylist() == [100, 102, 104]
    broken = pretty.replace(b'"item_id": "', b'"item_id": "\n')
    assert letters(judged([broken])) == [(100, "bad_json", broken)]


def test_json_is_judged_as_lines_of_a_file_are() -> None:
    values = [line(row) for row in items(50)] + [
        b"{", b"[]", b"  ", b'{"item_id": "\xff"}', line({**ITEM, "time_ms": -1}),
        line({**ITEM, "time_ms": 10**14}), line({**ITEM, "item_id": 3}), line(ITEM)[:-1],
        line({**ITEM, "color": "no such"}), line({"time_ms": 3}),
    ]  # fmt: skip
    one_by_one = [
        validate(SHOP, "item", RawRows(JsonLines(value)), NOW_MS, "x").dead_letters
        for value in values
    ]
    reasons = [table["reason"].to_pylist() for table in one_by_one]
    checked = judged(values)
    assert ids(checked) == [row["item_id"] for row in items(50)]
    # A blank line of a file is nothing; a blank message is a message.
    expected = [reason[0] if reason else "bad_json" for reason in reasons[50:]]
    assert [letter[1] for letter in letters(checked)] == expected
    assert [letter[2] for letter in letters(checked)] == values[50:]
    assert len(set(expected)) > 6


def test_more_json_than_one_block_loses_and_mixes_nothing() -> None:
    rows = [{**row, "title": "t" * 60_000} for row in items(200)]
    checked = judged([line(row) for row in rows])
    assert ids(checked) == [row["item_id"] for row in rows]
    assert checked.events["_position"].to_pylist() == list(range(100, 500, 2))


def test_messages_of_nothing_are_dead_letters() -> None:
    checked = judged([None, b"", line(ITEM)])
    assert letters(checked) == [(100, "empty_message", b""), (102, "empty_message", b"")]
    assert len(ids(checked)) == 1


def test_broken_avro_costs_only_itself() -> None:
    whole, other = single(ITEM), header_of("null") + datum(ITEM)  # type: ignore[arg-type]
    bad = [whole[:-1], whole + b"x", whole[:10], whole[:6], b"\xc3\x01", container(items(3))[:20]]
    values: list[bytes | None] = [whole]
    for one in bad:
        values += [one, whole]
    checked = judged([*values, other])
    assert len(ids(checked)) == len(bad) + 1
    assert letters(checked) == [
        *((102 + 4 * at, "bad_avro", one) for at, one in enumerate(bad)),
        (102 + 4 * len(bad), "unknown_schema", other),
    ]


def test_of_a_damaged_container_the_sound_blocks_are_read() -> None:
    data = bytearray(container(items(90), "deflate", every=400))
    at = len(data) - 60
    data[at : at + 4] = bytes(byte ^ 0xFF for byte in data[at : at + 4])
    checked = judged([bytes(data), line(ITEM)])
    assert 45 < len(ids(checked)) < 91
    ((position, reason, raw),) = letters(checked)
    assert (position, reason) == (100, "bad_avro")
    assert raw in bytes(data) and len(raw) < len(data) / 2
    assert raw[at - data.index(raw) :][:4] == data[at : at + 4]


@given(
    sizes=st.lists(st.integers(0, 5), min_size=2, max_size=12),
    every=st.sampled_from([1, 200, 16_000]),
    codecs=st.lists(st.sampled_from(["null", "deflate"]), min_size=1, max_size=2),
    hits=st.lists(st.tuples(st.integers(0, 11), st.floats(0, 0.999), st.integers(1, 255))),
)
def test_containers_read_together_are_what_they_are_alone(
    sizes: list[int], every: int, codecs: list[str], hits: list[tuple[int, float, int]]
) -> None:
    """Whole ones, empty ones, and ones with a byte changed anywhere."""
    packs = [
        bytearray(container(items(size, 100 * at), codecs[at % len(codecs)], every))
        for at, size in enumerate(sizes)
    ]
    for at, where, change in hits:
        pack = packs[at % len(packs)]
        pack[int(where * len(pack))] ^= change
    together = judged([bytes(pack) for pack in packs])
    alone = [judged([bytes(pack)], first=100 + 2 * at) for at, pack in enumerate(packs)]
    assert letters(together) == sorted(one for some in alone for one in letters(some))
    assert placed(together) == sorted(one for some in alone for one in placed(some))


@settings(max_examples=15)
@given(
    count=st.integers(2, 200),
    hits=st.lists(
        st.tuples(st.integers(0, 199), st.floats(0, 0.999), st.integers(0, 255)), max_size=90
    ),
)
def test_datums_read_together_are_what_they_are_alone(
    count: int, hits: list[tuple[int, float, int]]
) -> None:
    """Whole ones, and ones with a byte changed or, instead, cut off there."""
    datums = [bytearray(single(row)) for row in items(count)]
    for at, where, change in hits:
        one = datums[at % count]
        place = 10 + int(where * max(0, len(one) - 10))
        if change and place < len(one):
            one[place] ^= change
        else:
            del one[place:]
    together = judged([bytes(one) for one in datums])
    alone = [judged([bytes(one)], first=100 + 2 * at) for at, one in enumerate(datums)]
    assert letters(together) == sorted(one for some in alone for one in letters(some))
    assert placed(together) == sorted(one for some in alone for one in placed(some))


def placed(checked: Validated) -> list[tuple[int, str]]:
    columns = (checked.events[name].to_pylist() for name in ("_position", "item_id"))
    return sorted(zip(*columns, strict=True))


def test_arrays_in_blocks_with_their_size_are_as_good() -> None:
    """Avro lets a writer cut an array into blocks, each with its bytes: longer, but the same."""
    row = {**EXPOSURE, "candidates": EXPOSURE["candidates"][:1]}
    plain = datum(row, "exposure")
    at = plain.rindex(b"\x02" + _candidate(plain, row))
    item = plain[at + 1 : -1]
    sized = plain[:at] + b"\x01" + _long(len(item)) + item + b"\x00"
    schema = avro_schema(SHOP, "exposure")
    assert fastavro.schemaless_reader(io.BytesIO(sized), schema, None) == (
        fastavro.schemaless_reader(io.BytesIO(plain), schema, None)
    )
    values = [header_of(schema) + one for one in (plain, sized, sized + b"\x00")]
    checked = judged(values, "exposure")
    rows = checked.events.drop_columns(["_position"]).to_pylist()
    assert len(rows) == 2 and rows[0] == rows[1]
    assert [letter[:2] for letter in letters(checked)] == [(104, "bad_avro")]


def _candidate(plain: bytes, row: dict[str, Any]) -> bytes:
    """How the only candidate begins: its item id."""
    name = row["candidates"][0]["item_id"].encode()
    assert name in plain
    return _long(len(name)) + name


def _long(value: int) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, "long", value)
    return out.getvalue()


def test_a_container_of_no_event_does_not_vanish() -> None:
    """It may be the head of one that was cut off."""
    (whole,) = [container(items(1))]
    head = whole[: whole.index(whole[-16:]) + 16]
    assert letters(judged([head, container([])])) == [
        (100, "empty_message", head), (102, "empty_message", container([]))
    ]  # fmt: skip


def test_a_datum_whose_text_is_no_text_is_refused_wherever_it_ends() -> None:
    sound = single(items(1)[0])
    at = sound.index(b"i0")
    broken = sound[:at] + b"\xe9a" + sound[at + 2 :]
    checked = judged([broken, broken + b"\x00", sound])
    assert [(at, reason) for at, reason, _ in letters(checked)] == [
        (100, "bad_utf8"), (102, "bad_avro")
    ]  # fmt: skip
    assert ids(checked) == ["i0"]
