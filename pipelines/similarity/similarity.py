"""The cosine of integer vectors, exactly.

    cos(a, b) = a · b / sqrt(|a|² |b|²)

with the dot product and the squared norms as integers, then one product, root and quotient in
float64; 0 where a norm is 0. So it does not depend on batches, threads or the machine.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.arrays import Floats, Ints

Vectors = npt.NDArray[np.int8]

LARGEST_SQUARE = 128 * 128
"""Of an int8 entry."""

FLOAT32_EXACT = 1 << 24
"""Up to here float32 holds every integer."""


def exact_float(width: int) -> np.dtype[Any]:
    """The float in which a matrix product of int8 vectors of that width is exact in any order.

    >>> exact_float(1024), exact_float(1025)
    (dtype('float32'), dtype('float64'))
    """
    return np.dtype(np.float32 if width * LARGEST_SQUARE <= FLOAT32_EXACT else np.float64)


def square_norms(vectors_ND: Vectors) -> Ints:
    """The squared norms of n vectors, shape [n]."""
    return dots(vectors_ND, vectors_ND)


def dots(a_ND: Vectors, b_ND: Vectors) -> Ints:
    """The dot products of n pairs of rows, shape [n]."""
    return np.einsum("nd,nd->n", a_ND, b_ND, dtype=np.int64)


def pairwise(a_ND: Vectors, b_ND: Vectors) -> Floats:
    """The cosines of n pairs of rows, shape [n].

    >>> pairwise(np.array([[3, 4], [0, 0]], np.int8), np.array([[4, 3], [1, 1]], np.int8))
    array([0.96, 0.  ])
    """
    products = square_norms(a_ND) * square_norms(b_ND)
    return dots(a_ND, b_ND) / np.sqrt(np.maximum(products, 1))
