"""Questions, a corpus, and the comparison of some of the one with some of the other, in blocks."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pipelines.arrays import Floats, Ints
from pipelines.similarity.kernels import keep_nearest
from pipelines.similarity.similarity import Vectors, exact_float, square_norms

BLOCK_BYTES = 8 << 20
"""What a block of corpus vectors as floats may take, and so may its dot products."""

QUESTIONS_AT_ONCE = 512


@dataclass(frozen=True)
class Questions:
    """What is asked: vectors, shape [q, d], and the time of each, shape [q]."""

    vectors: Vectors
    time_ms: Ints

    def __len__(self) -> int:
        return len(self.time_ms)

    @cached_property
    def squares(self) -> Ints:
        """The squared norm of each."""
        return square_norms(self.vectors)


@dataclass(frozen=True)
class Corpus:
    """What may answer: vectors in order of preference, shape [n, d], and since when, shape [n]."""

    vectors: Vectors
    since_ms: Ints

    def __len__(self) -> int:
        return len(self.since_ms)

    @cached_property
    def squares(self) -> Ints:
        """The squared norm of each."""
        return square_norms(self.vectors)


@dataclass(frozen=True)
class Answers:
    """The entry that answers each question and its cosine; -1 and 0 where there is none."""

    index: Ints
    score: Floats

    @classmethod
    def none(cls, size: int) -> "Answers":
        """No answer yet."""
        return cls(np.full(size, -1, np.int64), np.zeros(size))


def compare(
    questions: Questions,
    rows: Ints,
    corpus: Corpus,
    entries: Ints,
    found: Answers,
    block_bytes: int = BLOCK_BYTES,
) -> None:
    """Better, in place, what was found for the questions `rows` by the corpus' `entries`."""
    real = exact_float(corpus.vectors.shape[1])
    widest = max(corpus.vectors.shape[1], QUESTIONS_AT_ONCE)
    for some in _blocks(entries, max(1, block_bytes // (widest * real.itemsize))):
        vectors_DM = corpus.vectors[some].astype(real).T
        for asking in _blocks(rows, QUESTIONS_AT_ONCE):
            keep_nearest(
                questions.vectors[asking].astype(real) @ vectors_DM,
                asking,
                some,
                (questions.time_ms, questions.squares),
                (corpus.since_ms, corpus.squares),
                found.index,
                found.score,
            )


def _blocks(numbers: Ints, size: int) -> Iterator[Ints]:
    for begin in range(0, len(numbers), size):
        yield numbers[begin : begin + size]
