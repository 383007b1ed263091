"""Whether what was counted fits what was to be expected."""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from pipelines.simulate.world import Delay

SIGMAS = 4.5
"""Worlds have a fixed seed: a test that passes once passes always."""


def fits(count: int, trials: int, rate: float) -> bool:
    """Whether `count` of `trials` is what a rate gives, within 4.5 standard deviations."""
    return bool(abs(count - trials * rate) <= SIGMAS * math.sqrt(trials * rate * (1 - rate)) + 1)


def fits_sum(count: int, chances: npt.NDArray[np.float64]) -> bool:
    """Whether `count` is what independent trials with these chances give."""
    deviation = math.sqrt(float((chances * (1 - chances)).sum()))
    return bool(abs(count - chances.sum()) <= SIGMAS * deviation + 1)


def follows(delays_ms: npt.NDArray[np.int64], delay: Delay) -> bool:
    """Kolmogorov-Smirnov: whether delays are drawn from their log-normal (level 0.001)."""
    drawn = np.sort(delays_ms)
    assert drawn[-1] <= delay.longest_ms
    drawn = drawn[drawn < delay.longest_ms]
    below = np.array([_normal(math.log(max(x, 0.5) / delay.median_ms) / delay.spread)
                      for x in drawn.tolist()])  # fmt: skip
    steps = np.arange(len(drawn) + 1) / len(drawn)
    distance = max(np.abs(below - steps[1:]).max(), np.abs(below - steps[:-1]).max())
    return bool(distance < 1.95 / math.sqrt(len(drawn)))


_normal: Callable[[float], float] = lambda z: (1 + math.erf(z / math.sqrt(2))) / 2  # noqa: E731
