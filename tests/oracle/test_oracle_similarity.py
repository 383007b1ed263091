"""Embeddings and similarities, by hand."""

import math

import pytest

from tests.oracle.similarity import LARGEST, dot, grams, ngrams, similarity


def test_a_word_gives_every_three_characters_in_brackets_and_itself() -> None:
    assert grams("shoes") == ["<sh", "sho", "hoe", "oes", "es>", "<shoes>"]
    assert grams("ab") == ["<ab", "ab>", "<ab>"]
    # Three characters with its brackets: the one gram is the word itself.
    assert grams("a") == ["<a>"]
    assert grams("aaaa") == ["<aa", "aaa", "aaa", "aa>", "<aaaa>"]


def test_a_gram_adds_its_sign_at_its_index() -> None:
    # XXH3-64 of "<a>" ends in 0x12 = 18 and its first bit is 0.
    assert {i: entry for i, entry in enumerate(ngrams("a")) if entry} == {18: 1}
    # "<red>" has four grams at 18, 35, 85 and 231, of which 35 is negative.
    assert {i: entry for i, entry in enumerate(ngrams("red")) if entry} == {
        18: 1,
        35: -1,
        85: 1,
        231: 1,
    }


def test_case_and_white_space_do_not_matter_and_composition_does() -> None:
    assert ngrams(" Red\tSHOES\n") == ngrams("red shoes")
    assert ngrams("shoes red") == ngrams("red shoes")
    assert ngrams("\u00e9") != ngrams("e\u0301")


def test_entries_are_clipped() -> None:
    assert ngrams("a " * 500)[18] == LARGEST


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        # red has 4 grams, hat 4, blue 5, shoes 6, none in common but for one of the last two.
        ("red", "red hat", 4 / math.sqrt(4 * 8)),
        ("hat", "blue hat", 4 / 6),
        ("red hat", "red shoes", 4 / math.sqrt(8 * 10)),
        ("red", "hat", 0.0),
        # They meet at one index with opposite signs.
        ("blue", "shoes", -1 / math.sqrt(5 * 6)),
        ("red", "", 0.0),
        ("", "", 0.0),
    ],
)
def test_similarity_is_the_cosine_of_whole_numbers(one: str, other: str, expected: float) -> None:
    assert similarity(ngrams(one), ngrams(other)) == expected
    assert similarity(ngrams(other), ngrams(one)) == expected


def test_a_text_is_exactly_like_itself() -> None:
    assert dot(ngrams("red"), ngrams("red")) == 4
    assert similarity(ngrams("red"), ngrams("red")) == 1.0
