"""The definitions once more, text by text and pair by pair: what the fast code is held against."""

import math

import numpy as np
import xxhash

from pipelines.similarity.scan import Corpus, Questions


def slow_ngrams(text: str | None) -> list[int]:
    """The vector of one text."""
    sums = [0] * 256
    for word in (text or "").lower().split():
        marked = f"<{word}>"
        grams = [marked[at : at + 3] for at in range(len(marked) - 2)]
        for gram in grams + ([marked] if len(marked) > 3 else []):
            unsigned = xxhash.xxh3_64_intdigest(gram.encode())
            sums[unsigned % 256] += 1 if unsigned >> 63 == 0 else -1
    return [max(-127, min(127, value)) for value in sums]


def slow_cosine(a: np.ndarray, b: np.ndarray) -> float:
    """The cosine of two vectors of integers."""
    one, other = a.tolist(), b.tolist()
    dot = sum(x * y for x, y in zip(one, other, strict=True))
    squares = sum(x * x for x in one) * sum(y * y for y in other)
    return dot / math.sqrt(squares) if squares else 0.0


def slow_nearest(questions: Questions, corpus: Corpus) -> list[tuple[int, float]]:
    """Entry and cosine that answer each question; -1 and 0 for none."""
    answers = []
    for vector, time_ms in zip(questions.vectors, questions.time_ms, strict=True):
        best = (-1, 0.0)
        for entry, candidate in enumerate(corpus.vectors):
            score = slow_cosine(vector, candidate)
            if corpus.since_ms[entry] < time_ms and score > best[1]:
                best = (entry, score)
        answers.append(best)
    return answers
