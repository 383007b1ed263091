import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipelines.similarity.similarity import exact_float, pairwise, square_norms
from tests.similarity.slow import slow_cosine

VECTORS = st.integers(1, 6).flatmap(
    lambda n: st.tuples(arrays(np.int8, (n, 9)), arrays(np.int8, (n, 9)))
)


def int8(*rows: list[int]) -> np.ndarray:
    return np.array(rows, np.int8)


def test_the_cosine_is_the_dot_product_over_the_lengths() -> None:
    cosines = pairwise(int8([3, 4], [1, 0], [2, 0], [5, 0]), int8([4, 3], [0, 9], [-7, 0], [3, 4]))
    assert cosines.tolist() == [24 / 25, 0.0, -1.0, 3 / 5]


def test_a_zero_vector_is_similar_to_nothing_not_even_to_itself() -> None:
    assert pairwise(int8([0, 0], [0, 0]), int8([1, 2], [0, 0])).tolist() == [0.0, 0.0]


def test_squared_norms_do_not_overflow() -> None:
    assert square_norms(np.full((1, 256), -128, np.int8)).tolist() == [256 * 16384]
    assert square_norms(np.full((1, 1 << 18), -128, np.int8)).tolist() == [1 << 32]


@given(VECTORS)
def test_a_column_equals_the_definition_pair_by_pair(pairs: tuple[np.ndarray, np.ndarray]) -> None:
    a, b = pairs
    assert pairwise(a, b).tolist() == [slow_cosine(x, y) for x, y in zip(a, b, strict=True)]


@pytest.mark.parametrize("width", [256, 1024, 1025])
def test_the_chosen_float_holds_the_largest_sum_on_the_way(width: int) -> None:
    low, odd = np.full((1, width), -128, np.int8), np.full((1, width), -128, np.int8)
    odd[0, -1] = -127
    real = exact_float(width)
    product = low.astype(real) @ odd.astype(real).T
    assert int(product[0, 0]) == width * 16384 - 128
