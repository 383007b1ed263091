"""Cluster pruning: compare a question with the entries near its nearest leaders only.

Of n entries every sqrt(n)-th leads; every entry follows its most similar leader. A question meets
the followers of its PROBES most similar leaders, and all entries if none of these may answer.
Leaders are entries and not means, so that every number on the way is an exact integer or a cosine
of integers: the answers are the same on every machine, as a graph or k-means in floats, which a
library would build, are not.

Source: Singitham, Mahabhashyam and Raghavan, "Efficiency-Quality Tradeoffs for Vector Score
Aggregation", VLDB 2004; Manning et al., "Introduction to Information Retrieval", 7.1.6.
"""

from math import isqrt

import numpy as np

from pipelines.arrays import Ints
from pipelines.similarity.scan import Answers, Corpus, Questions, compare
from pipelines.similarity.similarity import Vectors, exact_float, square_norms

PROBES = 64
"""So many leaders' followers a question meets; the benchmark prints what that finds."""

QUESTIONS_AT_ONCE = 1024
"""Bounds the memory that their cosines with all leaders take."""


def pruned(questions: Questions, corpus: Corpus, probes: int = PROBES) -> Answers:
    """The answer to each question among the followers of its most similar leaders."""
    leaders = np.arange(isqrt(len(corpus)), dtype=np.int64) * len(corpus) // isqrt(len(corpus))
    leading_LD = corpus.vectors[leaders]
    followers = _grouped(_leader_of(corpus, leading_LD), len(leaders))
    asking = _visited(questions, leading_LD, probes)
    found = Answers.none(len(questions))
    for rows, entries in zip(asking, followers, strict=True):
        compare(questions, rows, corpus, entries, found)
    unanswered = np.flatnonzero(found.index < 0)
    compare(questions, unanswered, corpus, np.arange(len(corpus)), found)
    return found


def _leader_of(corpus: Corpus, leading_LD: Vectors) -> Ints:
    """The most similar leader of each entry; the first one where none is similar at all."""
    always = Corpus(leading_LD, np.full(len(leading_LD), -1))
    entries = Questions(corpus.vectors, np.zeros(len(corpus), np.int64))
    found = Answers.none(len(corpus))
    compare(entries, np.arange(len(corpus)), always, np.arange(len(leading_LD)), found)
    return np.maximum(found.index, 0)


def _visited(questions: Questions, leading_LD: Vectors, probes: int) -> list[Ints]:
    """The questions that meet the followers of each leader."""
    real = exact_float(leading_LD.shape[1])
    lengths_L = np.sqrt(np.maximum(square_norms(leading_LD), 1))
    leaders_DL = leading_LD.astype(real).T
    nearest_QP = np.empty((len(questions), min(probes, len(leading_LD))), np.int64)
    for begin in range(0, len(questions), QUESTIONS_AT_ONCE):
        block = slice(begin, begin + QUESTIONS_AT_ONCE)
        cosines_QL = (questions.vectors[block].astype(real) @ leaders_DL) / lengths_L
        nearest_QP[block] = np.argsort(-cosines_QL, axis=1, kind="stable")[:, :probes]
    visits = _grouped(nearest_QP.ravel(), len(leading_LD))
    return [places // nearest_QP.shape[1] for places in visits]


def _grouped(groups: Ints, size: int) -> list[Ints]:
    """The positions of each of `size` groups, ascending."""
    order = np.argsort(groups, kind="stable")
    return np.split(order, np.searchsorted(groups[order], np.arange(1, size)))
