"""Columns of Parquet and Avro: what is taken for what, and what becomes of the rest."""

import datetime as dt
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipelines.sources.raw import RawRows, Rows
from pipelines.validate import Validated, events_schema, validate
from tests.validate.shop import EXPOSURE, ITEM, NOW_MS, SHOP


def judged(stream: str, table: pa.Table) -> Validated:
    raw = RawRows(Rows(table, np.arange(len(table), dtype=np.int64)))
    return validate(SHOP, stream, raw, NOW_MS, "part-0")


def items(**columns: pa.Array) -> Validated:
    """Items with these columns, two rows of each."""
    plain = {"item_id": pa.array(["a", "b"]), "time_ms": pa.array([5, 6])}
    return judged("item", pa.table({**plain, **columns}))


def faults(checked: Validated) -> list[tuple[int, str, str | None]]:
    letters = checked.dead_letters.select(["position", "reason", "field"]).to_pylist()
    return [(one["position"], one["reason"], one["field"]) for one in letters]


TEXT = [pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary()]


@pytest.mark.parametrize("kind", [*TEXT, pa.dictionary(pa.int8(), pa.string())], ids=str)
def test_text_is_taken_in_any_encoding(kind: pa.DataType) -> None:
    checked = items(item_id=pa.array(["ä", "b"]).cast(kind))
    assert checked.events["item_id"].to_pylist() == ["ä", "b"]


@pytest.mark.parametrize("kind", ["int8", "uint8", "int32", "uint64", "float32", "float64"])
def test_times_are_taken_from_numbers_of_any_width(kind: str) -> None:
    checked = items(time_ms=pa.array([5, 6], pa.type_for_alias(kind)))
    assert checked.events["time_ms"].to_pylist() == [5, 6]


@pytest.mark.parametrize(
    ("unit", "counts"), [("s", [-1, 2]), ("ms", [-1, 2]), ("us", [-1, 2999]), ("ns", [-1, 2999999])]
)
def test_time_stamps_are_floored_to_milliseconds(unit: str, counts: list[int]) -> None:
    checked = items(time_ms=pa.array(counts, pa.timestamp(unit)))
    assert checked.events["time_ms"].to_pylist() == [2000 if unit == "s" else 2]
    assert faults(checked) == [(0, "bad_time", "time_ms")]


def test_dates_are_their_midnights() -> None:
    days = pa.array([dt.date(1970, 1, 2), dt.date(1970, 1, 3)])
    for kind in (pa.date32(), pa.date64()):
        assert items(time_ms=days.cast(kind)).events["time_ms"].to_pylist() == [86400000, 172800000]


def test_a_time_beyond_all_bounds_is_in_the_future() -> None:
    for times in (pa.array([2**64 - 1, 5], pa.uint64()), pa.array([1e300, 5.0])):
        assert faults(items(time_ms=times)) == [(0, "future", "time_ms")]


def test_a_time_that_is_no_number_has_the_wrong_type() -> None:
    checked = items(time_ms=pa.array([float("nan"), None, 5.0]), item_id=pa.array(["a", "b", "c"]))
    assert faults(checked) == [(0, "wrong_type", "time_ms"), (1, "missing_field", "time_ms")]


def test_a_column_of_another_type_is_wrong_where_it_is_not_null() -> None:
    checked = items(item_id=pa.array([7, None]), color=pa.array([1, 2]))
    assert faults(checked) == [(0, "wrong_type", "item_id"), (1, "missing_field", "item_id")]
    checked = items(title=pa.array([None, 3]), tags=pa.array(["x", None]))
    assert faults(checked) == [(0, "wrong_type", "tags"), (1, "wrong_type", "title")]


def test_invalid_utf8_is_refused_and_kept_as_it_was() -> None:
    titles = pa.array([b"caf\xe9", b"ok"], pa.binary())
    for kind in (pa.binary(), pa.string()):
        target = pc_cast(titles, kind)
        checked = items(title=target)
        assert faults(checked) == [(0, "bad_utf8", "title")]
        assert checked.dead_letters["raw"].to_pylist() == [
            b'{"item_id":"a","time_ms":5,"title":"caf\xe9"}'
        ]


def pc_cast(values: pa.Array, kind: pa.DataType) -> pa.Array:
    if kind == pa.binary():
        return values
    return pa.Array.from_buffers(kind, len(values), values.buffers())


def test_a_refused_row_is_kept_as_canonical_json_with_its_time_in_milliseconds() -> None:
    stamps = pa.array([-1_000_000, 0], pa.timestamp("ns"))
    checked = items(time_ms=stamps, color=pa.array(["red", "pink"]), note=pa.array([1, 2]))
    assert checked.dead_letters["raw"].to_pylist() == [
        b'{"color":"red","item_id":"a","time_ms":-1}',
        b'{"color":"pink","item_id":"b","time_ms":0}',
    ]


def test_numbers_are_taken_from_integers_and_decimals() -> None:
    row: dict[str, Any] = {**EXPOSURE, "age": 3}
    for age in (pa.array([3], pa.int16()), pa.array([Decimal("3.00")])):
        table = pa.Table.from_pylist([row])
        table = table.set_column(table.column_names.index("age"), "age", age)
        assert judged("exposure", table).events["age"].to_pylist() == [3.0]


LISTS = [pa.list_, pa.large_list, pa.list_view, pa.large_list_view]


@pytest.mark.parametrize("list_of", LISTS)
def test_lists_are_taken_in_any_encoding(list_of: Any) -> None:
    tags = pa.array([None, ["x", "y"]], list_of(pa.large_string()))
    assert items(tags=tags).events["tags"].to_pylist() == [None, ["x", "y"]]
    pairs = pa.array([None, ["x", "y"]], pa.list_(pa.string(), 2))
    assert items(tags=pairs).events["tags"].to_pylist() == [None, ["x", "y"]]


def test_a_slice_of_a_table_is_judged_as_the_rows_it_shows() -> None:
    rows = [{**EXPOSURE, "request_id": f"r{at}", "time_ms": at - 2} for at in range(6)]
    rows[3]["candidates"] = []
    rows[4]["candidates"] = [EXPOSURE["candidates"][0], None]
    checked = judged("exposure", pa.Table.from_pylist(rows).slice(1))
    assert checked.events["request_id"].to_pylist() == ["r2", "r5"]
    assert faults(checked) == [
        (0, "bad_time", "time_ms"),
        (2, "no_candidates", "candidates"),
        (3, "missing_field", "candidates"),
    ]
    assert checked.events["candidates"][0].as_py()[1]["tags"] == ["x", "y"]


@pytest.mark.parametrize("candidates", [[1, 2], ["x"], "x", [[{"item_id": "a"}]], {"item_id": "a"}])
def test_candidates_of_another_type_are_wrong(candidates: Any) -> None:
    table = pa.Table.from_pylist([{**EXPOSURE, "candidates": candidates}])
    assert faults(judged("exposure", table)) == [(0, "wrong_type", "candidates")]


def test_a_table_without_known_columns_misses_its_first_field() -> None:
    checked = judged("item", pa.table({"x": [1, 2]}))
    assert faults(checked) == [(0, "missing_field", "item_id"), (1, "missing_field", "item_id")]
    assert checked.dead_letters["raw"].to_pylist() == [b"{}", b"{}"]


def test_an_empty_table_gives_no_events_of_the_right_schema() -> None:
    checked = judged("exposure", pa.table({}))
    assert checked.events.schema == events_schema(SHOP, "exposure")
    assert checked.counts == {"read": 0, "accepted": 0}


def test_many_rows_are_judged_in_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    table = pa.Table.from_pylist([{**ITEM, "time_ms": at - 3} for at in range(10)])
    whole = judged("item", table)
    monkeypatch.setattr("pipelines.validate.judge.ROWS_AT_ONCE", 3)
    parts = judged("item", table)
    assert parts.events.equals(whole.events)
    assert parts.dead_letters.equals(whole.dead_letters)
    assert whole.counts == {"read": 10, "accepted": 7, "bad_time": 3}
