"""A sketch is a frozen set of sums: merging adds, storing keeps the arrays.

Shape legend: K tasks, S columns, each sample in one: scenarios, domains or origins. Results are
[K, S + 1], the last column being all together.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from learner.metrics.scored import Floats

Arrays = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Sketch:
    """Base of all sketches; every field is an array of sums."""

    def merge(self, other: Self) -> Self:
        """The sketch of both sets of samples together."""
        sums = {name: array + getattr(other, name) for name, array in self.arrays().items()}
        return type(self)(**sums)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """The sums by field name, to be stored."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """What `arrays` came from."""
        return cls(**{field.name: arrays[field.name] for field in fields(cls)})


def ratio(numerator: npt.NDArray[Any], denominator: npt.NDArray[Any]) -> Floats:
    """The quotient, NaN where there is nothing to divide by."""
    undefined = np.full(np.shape(numerator), np.nan)
    quotient: Floats = np.divide(numerator, denominator, out=undefined, where=denominator > 0)
    return quotient


def with_total(sums_KS: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """[K, S] sums with a last column for all together."""
    return np.concatenate([sums_KS, sums_KS.sum(axis=1, keepdims=True)], axis=1)
