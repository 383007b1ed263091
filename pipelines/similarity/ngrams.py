"""Texts as signed counts of hashed character trigrams: the embedded default.

A text is lower-cased and split at white space, both as Python's `str` does. (Arrow's `utf8_lower`
differs in the final sigma, in `İ` and in letters that only the newer of the two knows; its
`utf8_split_whitespace` reads past the end of the column.) The grams of a word w are the
substrings of three characters of `<w>`, with repetition, and `<w>` itself where that is longer.
With h the unsigned XXH3-64 of a gram,

    v[h mod 256] += +1 if h < 2^63 else -1

and every entry is then clipped to [-127, 127].

Source: Weinberger et al., "Feature Hashing for Large Scale Multitask Learning", 2009
(the signed sum); Bojanowski et al., "Enriching Word Vectors with Subword Information", 2017,
section 3.2 (the grams).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.arrays import Ints
from pipelines.similarity.kernels import add_grams, grams, split
from schemas.hashing import hash_strings

WIDTH = 256

TEXTS_AT_ONCE = 1 << 16
"""Bounds the memory that the grams of a block of texts take."""


@dataclass(frozen=True)
class Ngrams:
    """Encodes texts to int8 vectors of 256; the same on every machine with one Python version.

    >>> vector = Ngrams().encode(pa.array(["ab", None]))
    >>> vector.shape, int(np.abs(vector[0]).sum()), int(np.abs(vector[1]).sum())
    ((2, 256), 3, 0)
    """

    name: str = "ngrams"

    def encode(self, texts: pa.StringArray) -> npt.NDArray[np.int8]:
        """The vectors of n texts, shape [n, 256]; null or blank text gives zeros."""
        vectors_ND = np.zeros((len(texts), WIDTH), np.int8)
        for begin in range(0, len(texts), TEXTS_AT_ONCE):
            block = slice(begin, begin + TEXTS_AT_ONCE)
            _encode(texts[block], vectors_ND[block])
        return vectors_ND


def _encode(texts: pa.StringArray, vectors_ND: npt.NDArray[np.int8]) -> None:
    data, begins, of_text = split(*_utf8(pc.fill_null(texts, "")))
    words = pc.dictionary_encode(_strings(pa.StringArray, data, begins))
    index, sign, of_word = _signed_grams(words.dictionary)
    add_grams(words.indices.to_numpy(), of_text, of_word, index, sign, vectors_ND)


def _signed_grams(
    words: pa.StringArray,
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int8], Ints]:
    """Index and sign of each gram of distinct words, and where each word's grams begin."""
    lowered = pa.array([word.lower() for word in words.to_pylist()], pa.string())
    data, begins, of_word = grams(*_utf8(lowered))
    hashes = hash_strings(_strings(pa.LargeStringArray, data, begins))
    return (hashes & 0xFF).astype(np.uint8), np.where(hashes < 0, -1, 1).astype(np.int8), of_word


def _utf8(strings: pa.StringArray) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32]]:
    """The bytes of a column without nulls, and where each string begins in them."""
    _, offsets, data = strings.buffers()
    begins = np.frombuffer(offsets or bytes(4), np.int32)
    return np.frombuffer(data or b"", np.uint8), begins[strings.offset :][: len(strings) + 1]


def _strings(kind: Any, data: npt.NDArray[np.uint8], begins: npt.NDArray[Any]) -> pa.Array:
    return kind.from_buffers(len(begins) - 1, pa.py_buffer(begins), pa.py_buffer(data))
