"""Rearranged columns, against the slow and obvious way."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from pipelines.steps.key_set import among, repeated
from pipelines.steps.merge_order import merge_order
from pipelines.steps.scatter import scattered

KEYS = st.lists(st.integers(-(1 << 63), (1 << 63) - 1) | st.integers(0, 5), max_size=40)
ROWS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 9)), max_size=30)


@given(old=ROWS, new=ROWS)
def test_merging_new_rows_into_ordered_ones_is_sorting_them_all(
    old: list[tuple[int, int, int]], new: list[tuple[int, int, int]]
) -> None:
    rows = [*sorted(old), *new]
    key, time_ms, last = np.array(rows, np.int64).reshape(-1, 3).T
    order = merge_order(
        key, time_ms, lambda tied: np.lexsort((last[tied], time_ms[tied], key[tied]))
    )
    assert [rows[at] for at in order] == sorted(rows)
    assert sorted(order) == list(range(len(rows)))


@given(old=KEYS, new=KEYS)
def test_a_key_is_repeated_if_it_is_old_or_new_twice(old: list[int], new: list[int]) -> None:
    found = repeated(np.array(old, np.int64), np.array(new, np.int64))
    assert found.tolist() == [key in old or new.count(key) > 1 for key in new]


@given(keys=KEYS, wanted=KEYS)
def test_keys_are_among_those_wanted(keys: list[int], wanted: list[int]) -> None:
    found = among(np.array(keys, np.int64), np.array(wanted, np.int64))
    assert found.tolist() == [key in wanted for key in keys]


@given(
    values=st.lists(st.none() | st.text(max_size=3) | st.just("Ω"), max_size=12),
    gaps=st.lists(st.integers(0, 9), min_size=13, max_size=13),
    skipped=st.integers(0, 3),
)
def test_scattered_values_stand_at_their_rows_and_nowhere_else(
    values: list[str | None], gaps: list[int], skipped: int
) -> None:
    rows = np.cumsum(np.array(gaps[: len(values)], np.int64) + 1) - 1
    size = int(rows[-1]) + 1 + gaps[-1] if len(rows) else gaps[-1]
    expected: list[str | None] = [None] * size
    for row, value in zip(rows, values, strict=True):
        expected[row] = value
    texts = pa.array(["x", "yz", None][:skipped] + values, pa.string()).slice(skipped)
    assert scattered(texts, rows, size).to_pylist() == expected
    lengths = pa.compute.binary_length(texts)
    assert scattered(lengths, rows, size).to_pylist() == [
        None if value is None else len(value.encode()) for value in expected
    ]
