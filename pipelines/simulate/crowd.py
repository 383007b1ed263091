"""Users: how often they come, and what they like, which drifts from day to day."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipelines.simulate import kernels
from pipelines.simulate.rows import Floats, Ints, Numbers
from pipelines.simulate.world import World

Rng = np.random.Generator


@dataclass
class Crowd:
    """`interest` is standard normal times the world's spread, [users, categories]."""

    visits: npt.NDArray[np.float64]
    """Cumulative share of all requests, by user."""
    interest: Floats
    chances: Floats
    """Cumulative probability of each category when a user follows the interests, same shape."""

    @classmethod
    def of(cls, world: World, rng: Rng) -> "Crowd":
        """The crowd on its first day."""
        users = world.users
        activity = np.cumsum(np.exp(users.activity_spread * rng.standard_normal(users.count)))
        shape = (users.count, world.items.categories)
        interest = np.float32(users.interest_spread) * rng.standard_normal(shape, np.float32)
        return cls(activity / activity[-1], interest, _chances(interest))

    def drift(self, world: World, rng: Rng) -> None:
        """One day passes: an autoregression that keeps the spread of interests.

        z' = sqrt(1 - drift) z + sqrt(drift) spread e, with e standard normal.
        """
        share, spread = world.users.drift, world.users.interest_spread
        fresh = rng.standard_normal(self.interest.shape, np.float32)
        kept = np.float32(np.sqrt(1 - share)) * self.interest
        self.interest = kept + np.float32(np.sqrt(share) * spread) * fresh
        self.chances = _chances(self.interest)

    def visitors(self, rng: Rng, count: int) -> Ints:
        """Who makes each of `count` requests."""
        return np.searchsorted(self.visits, rng.random(count))

    def categories(self, rng: Rng, user: Numbers) -> Ints:
        """A category that interests each of these users, by chance."""
        return kernels.categories_by_chance(self.chances, user, rng.random(len(user), np.float32))


def _chances(interest: Floats) -> Floats:
    """Cumulative softmax over the categories."""
    weight = np.exp(interest)
    chances = np.cumsum(weight, axis=1)
    chances /= chances[:, -1:].copy()
    return chances
