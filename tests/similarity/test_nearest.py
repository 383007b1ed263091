from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipelines.similarity import pruning, scan
from pipelines.similarity.nearest import exact, nearest
from pipelines.similarity.pruning import pruned
from pipelines.similarity.scan import Answers, Corpus, Questions, compare
from tests.similarity.slow import slow_cosine, slow_nearest

EVERY_LEADER = partial(pruned, probes=1000)
"""Pruning that leaves nothing out: it answers as the exact search does."""

WAYS = pytest.mark.parametrize("way", [nearest, exact, EVERY_LEADER])


def asked(vectors: list[list[int]], times: list[int]) -> Questions:
    return Questions(np.array(vectors, np.int8), np.array(times, np.int64))


def corpus_of(vectors: list[list[int]], since: list[int]) -> Corpus:
    return Corpus(np.array(vectors, np.int8), np.array(since, np.int64))


def pairs(answers: Answers) -> list[tuple[int, float]]:
    return list(zip(answers.index.tolist(), answers.score.tolist(), strict=True))


def random_world(queries: int, titles: int, seed: int = 0) -> tuple[Questions, Corpus]:
    """Few distinct directions and times, so that ties and refusals are many."""
    rng = np.random.default_rng(seed)
    corpus = Corpus(rng.integers(-2, 3, (queries, 6), np.int8), rng.integers(0, 9, queries))
    return Questions(rng.integers(-2, 3, (titles, 6), np.int8), rng.integers(0, 10, titles)), corpus


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Questions, Corpus]:
    n, q = draw(st.integers(1, 12)), draw(st.integers(0, 6))
    small, times = st.integers(-2, 2), st.integers(0, 4)
    return (
        Questions(
            draw(arrays(np.int8, (q, 3), elements=small)), draw(arrays(np.int64, q, elements=times))
        ),
        Corpus(
            draw(arrays(np.int8, (n, 3), elements=small)), draw(arrays(np.int64, n, elements=times))
        ),
    )


@WAYS
def test_the_most_similar_entry_answers(way) -> None:
    corpus = corpus_of([[3, 4], [4, 3], [1, 0]], [0, 0, 0])
    assert pairs(way(asked([[8, 6], [5, 0]], [1, 1]), corpus)) == [(1, 1.0), (2, 1.0)]
    assert pairs(way(asked([[0, 2]], [1]), corpus)) == [(0, 0.8)]


@WAYS
def test_an_entry_is_available_only_strictly_after_it_was_first_seen(way) -> None:
    corpus = corpus_of([[3, 4], [4, 3]], [10, 20])
    answers = way(asked([[4, 3]] * 4, [10, 11, 20, 21]), corpus)
    assert pairs(answers) == [(-1, 0.0), (0, 0.96), (0, 0.96), (1, 1.0)]


@WAYS
def test_of_equally_similar_entries_the_first_answers(way) -> None:
    corpus = corpus_of([[0, 1], [2, 2], [1, 1], [3, 3]], [0, 5, 0, 0])
    assert pairs(way(asked([[1, 1]] * 2, [1, 6]), corpus))[0][0] == 2
    assert pairs(way(asked([[1, 1]] * 2, [1, 6]), corpus))[1][0] == 1


@WAYS
def test_what_is_not_similar_at_all_is_no_answer(way) -> None:
    corpus = corpus_of([[0, 0], [0, 1], [-1, 0]], [0, 0, 0])
    assert pairs(way(asked([[1, 0], [0, 0]], [1, 1]), corpus)) == [(-1, 0.0), (-1, 0.0)]


@WAYS
def test_no_corpus_answers_nothing_and_no_question_is_no_answer(way) -> None:
    nothing = Corpus(np.zeros((0, 2), np.int8), np.zeros(0, np.int64))
    assert pairs(way(asked([[1, 0]], [1]), nothing)) == [(-1, 0.0)]
    no_question = Questions(np.zeros((0, 2), np.int8), np.zeros(0, np.int64))
    assert pairs(way(no_question, corpus_of([[1, 0]], [0]))) == []


@given(worlds())
def test_exact_search_equals_the_definition(world: tuple[Questions, Corpus]) -> None:
    assert pairs(exact(*world)) == slow_nearest(*world)


@given(worlds())
def test_pruning_that_meets_every_leader_equals_the_definition(
    world: tuple[Questions, Corpus],
) -> None:
    assert pairs(EVERY_LEADER(*world)) == slow_nearest(*world)


@given(worlds(), st.integers(1, 2))
def test_pruning_answers_truly_whenever_there_is_an_answer(
    world: tuple[Questions, Corpus], probes: int
) -> None:
    questions, corpus = world
    best = slow_nearest(questions, corpus)
    for row, (index, score) in enumerate(pairs(pruned(questions, corpus, probes))):
        assert (index >= 0) == (best[row][0] >= 0)
        assert score <= best[row][1]
        if index >= 0:
            assert corpus.since_ms[index] < questions.time_ms[row]
            assert score == slow_cosine(questions.vectors[row], corpus.vectors[index])


@pytest.mark.parametrize("block_bytes", [1, 100 << 10, 1 << 30])
@pytest.mark.parametrize("at_once", [1, 7, 4096])
def test_blocks_change_nothing(
    block_bytes: int, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    questions, corpus = random_world(300, 60)
    expected = pairs(exact(questions, corpus))
    monkeypatch.setattr(scan, "QUESTIONS_AT_ONCE", at_once)
    found = Answers.none(60)
    compare(questions, np.arange(60), corpus, np.arange(300), found, block_bytes)
    assert pairs(found) == expected


def test_of_equals_met_later_the_first_still_answers() -> None:
    questions, corpus = asked([[1, 1]], [1]), corpus_of([[2, 2], [1, 1]], [0, 0])
    found = Answers.none(1)
    compare(questions, np.array([0]), corpus, np.array([1]), found)
    compare(questions, np.array([0]), corpus, np.array([0]), found)
    assert pairs(found) == [(0, 1.0)]


def test_the_order_in_which_entries_are_met_changes_nothing() -> None:
    questions, corpus = random_world(3_000, 60)
    found = Answers.none(60)
    for entries in np.array_split(np.random.default_rng(1).permutation(3_000), 7):
        compare(questions, np.arange(60), corpus, entries, found)
    assert pairs(found) == pairs(exact(questions, corpus))


@pytest.mark.parametrize("way", [exact, partial(pruned, probes=4)])
def test_ten_thousand_questions_are_answered_as_each_alone(
    way, monkeypatch: pytest.MonkeyPatch
) -> None:
    questions, corpus = random_world(2_000, 10_000)
    together = pairs(way(questions, corpus))
    monkeypatch.setattr(pruning, "QUESTIONS_AT_ONCE", 3)
    for row in range(0, 10_000, 1_000):
        alone = Questions(questions.vectors[[row]], questions.time_ms[[row]])
        assert pairs(way(alone, corpus)) == [together[row]]


def test_pruning_finds_nearly_all_of_the_similarity() -> None:
    rng = np.random.default_rng(0)
    corpus = Corpus(rng.integers(-3, 4, (5_000, 16), np.int8), np.zeros(5_000, np.int64))
    questions = Questions(rng.integers(-3, 4, (500, 16), np.int8), np.ones(500, np.int64))
    share = pruned(questions, corpus, 16).score.sum() / exact(questions, corpus).score.sum()
    assert 0.97 < share < 1


def test_the_size_of_the_corpus_alone_decides_how_it_is_searched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    questions, corpus = random_world(400, 20)
    assert pairs(nearest(questions, corpus, exact_up_to=400)) == pairs(exact(questions, corpus))
    monkeypatch.setattr("pipelines.similarity.nearest.pruned", partial(pruned, probes=1))
    beyond = pairs(nearest(questions, corpus, exact_up_to=399))
    assert beyond == pairs(pruned(questions, corpus, probes=1))


def test_vectors_of_two_encoders_are_refused() -> None:
    with pytest.raises(ValueError, match="as wide as the corpus, 3 entries, received 2"):
        nearest(asked([[1, 0]], [1]), corpus_of([[1, 0, 0]], [0]))
