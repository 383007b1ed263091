"""Embeddings of texts by hashed n-grams, and how similar two of them are."""

import math
from collections.abc import Callable

import xxhash

WIDTH = 256
LARGEST = 127

Vector = list[int]
Encoder = Callable[[str], Vector]
"""A text to a vector of whole numbers."""


def ngrams(text: str) -> Vector:
    """Each gram adds its sign at its index; entries are clipped in the end.

    >>> [(index, entry) for index, entry in enumerate(ngrams("A")) if entry]
    [(18, 1)]
    """
    vector = [0] * WIDTH
    for word in text.lower().split():
        for gram in grams(word):
            hashed = xxhash.xxh3_64_intdigest(gram.encode())
            vector[hashed % WIDTH] += 1 if hashed >> 63 == 0 else -1
    return [max(-LARGEST, min(LARGEST, entry)) for entry in vector]


def grams(word: str) -> list[str]:
    """Every three characters of the word in brackets, and all of it if it is longer.

    >>> grams("red")
    ['<re', 'red', 'ed>', '<red>']
    >>> grams("a")
    ['<a>']
    """
    whole = f"<{word}>"
    threes = [whole[start : start + 3] for start in range(len(whole) - 2)]
    return [*threes, whole] if len(whole) > 3 else threes


def similarity(one: Vector, other: Vector) -> float:
    """Cosine: "dot product and squared norms as integers, then `dot / sqrt(norm_a * norm_b)` in
    float64"; "an empty embedding is similar to nothing (0)"."""
    norms = dot(one, one) * dot(other, other)
    return dot(one, other) / math.sqrt(norms) if norms else 0.0


def dot(one: Vector, other: Vector) -> int:
    return sum(a * b for a, b in zip(one, other, strict=True))
