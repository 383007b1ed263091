"""By hand, from the XXH3-64 of each gram (low byte; highest bit): `<a>` 5d…12, `<ab` 96…64,
`ab>` ca…de, `<ab>` d4…d8, `<é>` 16…29."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.similarity import ngrams
from pipelines.similarity.ngrams import Ngrams
from tests.similarity.slow import slow_ngrams

ANY = st.none() | st.text(max_size=30)
TRICKY = st.text("ΣσςΑαİIıßǅ'.\u0301\u00ad\u200b \u00a0\u2028\x1c\x85\0a跑😀", max_size=12)
"""Capitals that lower by context or to two characters, and every odd kind of white space."""


def encoded(*texts: str | None) -> np.ndarray:
    return Ngrams().encode(pa.array(texts, pa.string()))


def entries(text: str) -> dict[int, int]:
    vector = encoded(text)[0]
    return {int(place): int(vector[place]) for place in np.flatnonzero(vector)}


def test_a_word_of_one_character_has_one_gram() -> None:
    assert entries("a") == {0x12: 1}


def test_a_longer_word_has_its_trigrams_and_itself() -> None:
    assert entries("ab") == {0x64: -1, 0xDE: -1, 0xD8: -1}


def test_grams_are_of_characters_and_hashed_as_utf8() -> None:
    assert entries("é") == {0x29: 1}


def test_a_text_is_the_sum_of_its_words_in_lower_case() -> None:
    assert entries(" AB\ta\u3000ab ") == {0x12: 1, 0x64: -2, 0xDE: -2, 0xD8: -2}


def test_entries_are_clipped_on_both_sides() -> None:
    assert entries("a " * 127) == {0x12: 127}
    assert entries("a " * 200) == {0x12: 127}
    assert entries("ab " * 200) == {0x64: -127, 0xDE: -127, 0xD8: -127}


@pytest.mark.parametrize("text", [None, "", " ", "\t\u00a0\x1c"])
def test_text_without_a_word_is_zero(text: str | None) -> None:
    assert not encoded(text, "a")[0].any()


def test_words_end_at_the_same_characters_as_in_python() -> None:
    texts = [f"a{chr(code)}a" for code in [*range(0x3100), 0xFEFF, 0x1F600]]
    assert encoded(*texts).tolist() == [slow_ngrams(text) for text in texts]


@pytest.mark.parametrize("space", [" ", "\x1c", "\x85", "\u00a0", "\u2028", "\u3000"])
def test_white_space_at_the_end_of_a_column_is_no_part_of_a_word(space: str) -> None:
    for _ in range(100):
        assert encoded("跑 a", "a" + space).tolist()[1] == encoded("a").tolist()[0]


def test_no_texts_have_no_vectors() -> None:
    assert encoded().shape == (0, 256)
    assert encoded(None).dtype == np.int8


@given(st.lists(ANY | TRICKY, max_size=8))
def test_a_batch_equals_the_definition_text_by_text(texts: list[str | None]) -> None:
    assert encoded(*texts).tolist() == [slow_ngrams(text) for text in texts]


@given(st.lists(ANY | TRICKY, min_size=1, max_size=8), st.data())
def test_a_slice_of_a_column_equals_the_same_rows_of_the_whole(
    texts: list[str | None], data: st.DataObject
) -> None:
    begin = data.draw(st.integers(0, len(texts) - 1))
    column = pa.array(texts, pa.string())
    part = Ngrams().encode(column[begin : begin + 3])
    assert np.array_equal(part, Ngrams().encode(column)[begin : begin + 3])


def test_a_vector_does_not_depend_on_the_blocks_of_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"red shoe {row % 97} {row}" for row in range(10_000)]
    whole = encoded(*texts)
    monkeypatch.setattr(ngrams, "TEXTS_AT_ONCE", 333)
    assert np.array_equal(encoded(*texts), whole)
    assert whole[::500].tolist() == [slow_ngrams(text) for text in texts[::500]]
