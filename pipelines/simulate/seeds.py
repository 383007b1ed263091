"""Independent random generators for the parts of a world: one seed gives them all."""

from dataclasses import dataclass

import numpy as np

_CATALOGUE, _CROWD, _DAY, _SLICE = range(4)


@dataclass(frozen=True)
class Seeds:
    """Generators that depend on the seed and the part's number alone, not on what ran before."""

    seed: int

    def catalogue(self) -> np.random.Generator:
        """Items, sellers and texts."""
        return self._child(_CATALOGUE)

    def crowd(self) -> np.random.Generator:
        """Users as they are at the start."""
        return self._child(_CROWD)

    def day(self, number: int) -> np.random.Generator:
        """How interests drift at the beginning of a day."""
        return self._child(_DAY, number)

    def slice(self, number: int) -> np.random.Generator:
        """All that happens in one slice."""
        return self._child(_SLICE, number)

    def _child(self, *key: int) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=key))
