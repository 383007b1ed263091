"""What turns texts into vectors, and its kinds by name."""

from collections.abc import Callable
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.similarity.ngrams import Ngrams
from pipelines.similarity.sentences import Sentences
from schemas.errors import UserError


class Encoder(Protocol):
    """A function of text alone: the same vector whatever else is in the batch."""

    @property
    def name(self) -> str:
        """The name that `encoder_of` knows it by."""

    def encode(self, texts: pa.StringArray) -> npt.NDArray[np.int8]:
        """The vectors of n texts, shape [n, d]; a text that says nothing gives zeros."""


ENCODERS: dict[str, Callable[[], Encoder]] = {"ngrams": Ngrams, "sentences": Sentences.load}


def encoder_of(name: str) -> Encoder:
    """The encoder of that name.

    Raises UserError if there is none, or if what it needs is not installed.

    >>> encoder_of("ngrams").name
    'ngrams'
    """
    if name not in ENCODERS:
        expected = " or ".join(f'"{known}"' for known in ENCODERS)
        raise UserError(f'Expected the text encoder {expected}, received "{name}".')
    return ENCODERS[name]()
