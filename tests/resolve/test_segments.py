"""Sorted tables that grow by merging: how long they are, what they are called, what is found."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from pipelines.steps.segments import Segments, of_keys, places


def rows(*keys: int) -> pa.Table:
    return pa.table({"key": pa.array(keys, pa.int64())})


def by_key(table: pa.Table) -> pa.Table:
    return table.sort_by("key")


def lengths(segments: Segments) -> list[int]:
    return [table.num_rows for table in segments]


def test_a_table_is_merged_with_the_next_unless_it_is_more_than_twice_as_long() -> None:
    segments, seen = Segments.of("kind", {}), []
    for key in range(8):
        segments = segments.with_rows(rows(key), by_key)
        seen.append(lengths(segments))
    assert seen == [[1], [2], [3], [3, 1], [5], [5, 1], [5, 2], [8]]
    assert list(segments.state()) == ["kind_made", "segment-kind-00000007"]


def test_what_does_not_change_keeps_its_name_and_is_not_copied() -> None:
    before = Segments.of("kind", {}).with_rows(rows(*range(9)), by_key)
    after = Segments.of("kind", before.state()).with_rows(rows(3, 1), by_key)
    assert lengths(after) == [9, 2]
    name = "segment-kind-00000000"
    assert after.state()[name] is before.state()[name]
    assert after.with_rows(rows(), by_key) is after


def test_a_name_is_never_given_twice() -> None:
    emptied = Segments.of("kind", {}).with_rows(rows(1), by_key).without(0)
    again = Segments.of("kind", emptied.state()).with_rows(rows(2), by_key)
    assert list(again.state()) == ["kind_made", "segment-kind-00000001"]


def test_kinds_of_one_state_do_not_mix() -> None:
    one, other = (Segments.of(kind, {}).with_rows(rows(1), by_key) for kind in ("a", "ab"))
    state = one.state() | other.with_rows(rows(2, 3), by_key).state()
    assert lengths(Segments.of("a", state)) == [1]
    assert lengths(Segments.of("ab", state)) == [3]


@given(
    parts=st.lists(st.lists(st.integers(-9, 9), max_size=5), max_size=12),
    wanted=st.sets(st.integers(-10, 10)),
)
def test_all_rows_are_found_in_one_of_the_tables(parts: list[list[int]], wanted: set[int]) -> None:
    segments = Segments.of("kind", {})
    for part in parts:
        segments = segments.with_rows(rows(*part), by_key)
    asked = np.array(sorted(wanted), np.int64)
    found: list[int] = []
    for table in segments:
        keys = table["key"].to_numpy()
        found += keys[of_keys(keys, asked)].tolist()
    assert sorted(found) == sorted(key for part in parts for key in part if key in wanted)


def test_places_tells_what_is_there_and_where() -> None:
    held, at = places(np.array([2, 5, 9]), np.array([9, 1, 2, 10, 4]))
    assert held.tolist() == [True, False, True, False, False]
    assert at.tolist() == [2, 0]
