"""Exposures whose text comes by word: judged as their plain text is, and carried as words."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.sources.files import FilesSource
from pipelines.sources.raw import RawRows, Rows
from pipelines.validate import Validated, validate
from pipelines.words import WORD, carried_schema, trimmed, word_columns
from schemas.events import arrow_schema
from tests.validate.shop import EXPOSURE, NOW_MS, SHOP

WORDS = ("scenario", "query", "hour", "candidates.item_id", "candidates.color")


def exposures(*changes: dict[str, Any]) -> list[dict[str, Any]]:
    """One exposure for each change; changes of candidates are of the first one."""
    rows = []
    for at, change in enumerate(changes):
        row = deepcopy(EXPOSURE) | {"request_id": f"r{at}"}
        row["candidates"][0] |= change.get("candidates", {})
        rows.append(row | {name: v for name, v in change.items() if name != "candidates"})
    return rows


def optional(schema: pa.Schema) -> pa.Schema:
    return pa.schema([field.with_nullable(True) for field in schema])


def judged(table: pa.Table) -> Validated:
    raw = RawRows(Rows(table, np.arange(len(table), dtype=np.int64)))
    return validate(SHOP, "exposure", raw, NOW_MS, "part-0")


def plain(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=optional(arrow_schema(SHOP, "exposure")))


def by_word(rows: list[dict[str, Any]]) -> pa.Table:
    return plain(rows).cast(optional(carried_schema(SHOP, "exposure")))


def test_ids_of_requests_and_users_do_not_repeat_all_other_text_does() -> None:
    assert set(word_columns(SHOP, "exposure")) == set(WORDS)
    assert word_columns(SHOP, "item") == ()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"scenario": "nowhere"}, "unknown_scenario"),
        ({"scenario": None}, "missing_field"),
        ({"query": "x" * 70_000}, "too_long"),
        ({"candidates": {"item_id": ""}}, "missing_field"),
        ({"candidates": {"item_id": "i" * 1025}}, "too_long"),
    ],
    ids=str,
)
def test_a_fault_in_a_word_refuses_the_events_that_use_it(
    change: dict[str, Any], reason: str
) -> None:
    rows = exposures({}, change, {"query": None})
    worded, texts = judged(by_word(rows)), judged(plain(rows))
    assert worded.dead_letters.select(["position", "reason"]).to_pylist() == [
        {"position": 1, "reason": reason}
    ]
    assert worded.dead_letters.equals(texts.dead_letters)
    assert worded.events.to_pylist() == texts.events.to_pylist()


@pytest.mark.parametrize("used", [True, False])
def test_bytes_that_are_no_text_refuse_only_who_points_at_them(used: bool) -> None:
    options = pc.CastOptions(pa.string(), allow_invalid_utf8=True)
    words = pc.cast(pa.array([b"red", b"\xff"]), options=options)
    places = pa.array([0, 1 if used else 0, None], pa.int8())
    table = plain(exposures({}, {}, {}))
    at = table.column_names.index("query")
    table = table.set_column(at, "query", pa.DictionaryArray.from_arrays(places, words))
    checked = judged(table)
    assert checked.dead_letters["reason"].to_pylist() == (["bad_utf8"] if used else [])
    assert checked.events["query"].to_pylist() == (["red", None] if used else ["red", "red", None])


@pytest.mark.parametrize("compliant", [True, False])
def test_parquet_is_read_by_word_whatever_it_calls_the_levels_of_lists(
    tmp_path: Path, compliant: bool
) -> None:
    rows = exposures({}, {"query": None}, {"candidates": {"color": None}})
    content = written(tmp_path, plain(rows), use_compliant_nested_type=compliant)
    candidate = content.schema.field("candidates").type.value_type
    assert content.schema.field("query").type == candidate.field("color").type == WORD
    assert judged(content).events.to_pylist() == judged(plain(rows)).events.to_pylist()


def test_numbers_in_a_column_of_words_have_the_wrong_type(tmp_path: Path) -> None:
    table = plain(exposures({}, {}))
    at = table.column_names.index("query")
    checked = judged(written(tmp_path, table.set_column(at, "query", pa.array([1, 2]))))
    assert checked.dead_letters["reason"].to_pylist() == ["wrong_type", "wrong_type"]


def written(root: Path, table: pa.Table, **options: Any) -> pa.Table:
    """What is read of a Parquet file with these exposures."""
    (root / "exposure").mkdir()
    pq.write_table(table, root / "exposure" / "part-0.parquet", **options)
    source = FilesSource(root, SHOP)
    (one,) = source.ranges(source.discover()[0], 0, 100)
    content = source.read_range(one).content
    assert isinstance(content, Rows)
    return content.table


LISTS = st.lists(st.lists(st.sampled_from(["", "a", "b", "ä", None]), max_size=4), max_size=8)


@given(lists=LISTS, start=st.integers(0, 8), rows=st.integers(0, 8))
def test_trimming_keeps_values_and_no_more_words_than_values(
    lists: list[list[str | None]], start: int, rows: int
) -> None:
    words = [word for one in lists for word in one]
    kind = pa.list_(pa.struct([pa.field("word", WORD)]))
    column = pa.array(words, pa.string()).cast(WORD)
    items = pa.StructArray.from_arrays([column], fields=list(kind.value_type))
    offsets = np.cumsum([0, *map(len, lists)]).astype(np.int32)
    whole = pa.ListArray.from_arrays(pa.array(offsets), items, type=kind)
    for part in (whole.slice(start, rows), column.slice(start, rows)):
        kept = trimmed(part)
        assert kept.type == part.type and kept.to_pylist() == part.to_pylist()
        held = kept.flatten().field(0) if pa.types.is_list(part.type) else kept
        assert len(held.dictionary) <= len(held)
