"""A whole training step, and how many times as long as another it takes."""

import time
from collections.abc import Callable

from models.base import RankingModel
from models.batch import UserBatch
from models.loss import weighted_bce
from models.optimisers import OptimiserConfig, Optimisers

REPEATS = 5

Step = Callable[[], None]


def training_step(model: RankingModel, batch: UserBatch) -> Step:
    """Forward, loss, backward and both optimisers."""
    optimisers = Optimisers(model, OptimiserConfig())

    def step() -> None:
        optimisers.zero_grad()
        weighted_bce(model(batch), batch).backward()
        optimisers.step()

    return step


def ratios(short: Step, long: Step, clock: Callable[[], float] = time.process_time) -> list[float]:
    """Of the times of both, each beside the other; the first turn, which warms up, is left out."""
    return [_seconds(long, clock) / _seconds(short, clock) for _ in range(REPEATS + 1)][1:]


def _seconds(step: Step, clock: Callable[[], float]) -> float:
    begun = clock()
    step()
    return clock() - begun
