"""The most similar corpus entry that was there before a question's time.

Entry n is available to question q if `since_ms[n] < time_ms[q]`. Of the available entries with a
cosine above 0 the one with the largest cosine answers, the lowest index among equals: the caller
sorts the corpus as ties should go. An answer depends on its question and the corpus, never on
other questions, blocks, threads or the machine.
"""

import numpy as np

from pipelines.similarity.pruning import pruned
from pipelines.similarity.scan import Answers, Corpus, Questions, compare

EXACT_UP_TO = 1 << 19
"""So many entries are compared with every question: 4 to 5 ms a question of width 256 on one core.
Pruning needs as long to begin as that takes for sqrt(n) questions and is then three to four times
as fast, so it pays for thousands of questions only. `benchmarks/nearest_query.py` measures both.
"""


def nearest(questions: Questions, corpus: Corpus, exact_up_to: int = EXACT_UP_TO) -> Answers:
    """The answer to each question: exact in a corpus up to that size, by pruning above it.

    What pruning answers is available and its cosine exact, and it answers whenever `exact` does;
    seldom, a slightly more similar entry is missed. Raises ValueError if widths differ.

    >>> corpus = Corpus(np.array([[3, 4], [4, 3]], np.int8), np.array([10, 20]))
    >>> asked = Questions(np.array([[4, 3], [4, 3]], np.int8), np.array([20, 21]))
    >>> answers = nearest(asked, corpus)
    >>> answers.index, answers.score
    (array([0, 1]), array([0.96, 1.  ]))
    """
    if questions.vectors.shape[1] != corpus.vectors.shape[1]:
        raise ValueError(
            f"Expected questions as wide as the corpus, {corpus.vectors.shape[1]} entries, "
            f"received {questions.vectors.shape[1]}: both sides need the same encoder."
        )
    return exact(questions, corpus) if len(corpus) <= exact_up_to else pruned(questions, corpus)


def exact(questions: Questions, corpus: Corpus) -> Answers:
    """The answer to each question, every entry compared."""
    found = Answers.none(len(questions))
    compare(questions, np.arange(len(questions)), corpus, np.arange(len(corpus)), found)
    return found
