"""How fast titles find their nearest query: cluster pruning against comparing every entry.

Both sides answer the same questions on the same corpus, in turns, on one core; the median of the
repeats counts. What is available is checked on every answer, and pruning may miss a little:
the share of equal answers and what it loses in cosine are printed beside the ratio.

    python benchmarks/nearest_query.py [--queries 900000] [--titles 5000] [--repeats 3]
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import pyarrow as pa

from pipelines.similarity.nearest import exact
from pipelines.similarity.ngrams import Ngrams
from pipelines.similarity.pruning import pruned
from pipelines.similarity.scan import Answers, Corpus, Questions

GOAL = 2.0
KEPT_GOAL = 0.99
WORDS = 30_000
SYLLABLES = "ba ko ri tan mel so ver lin ga du pex or qui na the sh".split()
HOUR_MS = 3_600_000


def main() -> None:
    """Print both times, the ratio, and how good the pruned answers are."""
    options = _options()
    questions, corpus = _world(options.queries, options.titles)
    sides = {"exact": exact, "pruned": pruned}
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    answers: dict[str, Answers] = {}
    for _ in range(options.repeats):
        for name, side in sides.items():
            taken, answers[name] = _timed(side, questions, corpus)
            seconds[name].append(taken)
    _check(answers, questions, corpus)
    _report(answers, {name: statistics.median(taken) for name, taken in seconds.items()}, corpus)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queries", type=int, default=900_000)
    parser.add_argument("--titles", type=int, default=5_000)
    parser.add_argument("--repeats", type=int, default=3)
    return parser.parse_args()


def _world(queries: int, titles: int) -> tuple[Questions, Corpus]:
    """Queries of 1 to 4 words, titles of 6 to 14, half of the words frequent ones."""
    rng = np.random.default_rng(0)
    words = np.array(["".join(rng.choice(SYLLABLES, rng.integers(1, 5))) for _ in range(WORDS)])
    distinct = sorted(set(_texts(rng, words, queries, (1, 4))))
    corpus = Corpus(Ngrams().encode(pa.array(distinct)), rng.integers(0, HOUR_MS, len(distinct)))
    asked = Ngrams().encode(pa.array(_texts(rng, words, titles, (6, 14))))
    return Questions(asked, rng.integers(0, 2 * HOUR_MS, titles)), corpus


def _texts(
    rng: np.random.Generator, words: np.ndarray, count: int, lengths: tuple[int, int]
) -> list[str]:
    shape = (count, lengths[1])
    frequent = np.minimum(rng.zipf(1.3, shape), WORDS) - 1
    drawn = words[np.where(rng.random(shape) < 0.5, frequent, rng.integers(0, WORDS, shape))]
    sizes = rng.integers(lengths[0], lengths[1] + 1, count)
    return [" ".join(row[:size]) for row, size in zip(drawn, sizes, strict=True)]


def _timed(
    side: Callable[[Questions, Corpus], Answers], questions: Questions, corpus: Corpus
) -> tuple[float, Answers]:
    begin = time.process_time()
    answers = side(questions, corpus)
    return time.process_time() - begin, answers


def _check(answers: dict[str, Answers], questions: Questions, corpus: Corpus) -> None:
    """Pruned answers are available, never above the exact ones, and there whenever these are."""
    best, found = answers["exact"], answers["pruned"]
    answered = found.index >= 0
    since_ms = corpus.since_ms[found.index[answered]]
    assert np.array_equal(answered, best.index >= 0)
    assert (since_ms < questions.time_ms[answered]).all()
    assert (found.score <= best.score).all()


def _report(answers: dict[str, Answers], seconds: dict[str, float], corpus: Corpus) -> None:
    best, found = answers["exact"], answers["pruned"]
    for name, taken in seconds.items():
        print(f"{name}: {taken:.2f} s, {1e3 * taken / len(best.index):.3f} ms a title")
    equal = float(np.mean(best.index == found.index))
    kept = float(found.score.sum() / best.score.sum())
    print(f"{len(corpus)} queries; same answer {equal:.4f}; share of the cosine {kept:.5f}")
    _figure("nearest_pruned_vs_exact", seconds["exact"] / seconds["pruned"], GOAL)
    _figure("nearest_pruned_share_of_cosine", kept, KEPT_GOAL)


def _figure(name: str, measured: float, goal: float) -> None:
    print(f"FIGURE {name} {measured:.3g} {goal:g} {'ok' if measured >= goal else 'short'}")


if __name__ == "__main__":
    main()
