"""A running mean of weights, to score and to serve with while training goes on beside it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


class RunningMean:
    """The exponential moving average of parameters θ.

        m_0 = θ_0,    m_t = k_t m_{t-1} + (1 - k_t) θ_t,    k_t = min(keep, (1 + t) / (10 + t))

    k_t grows so that the first weights are soon forgotten. With `keep` 0 the mean is θ itself and
    costs nothing. Source: Polyak, Juditsky 1992, "Acceleration of stochastic approximation by
    averaging"; the exponential form and k_t as in TensorFlow's `ExponentialMovingAverage`.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], keep: float) -> None:
        self.keep, self.steps = keep, 0
        self.parameters = tuple(parameters) if keep else ()
        self.means: list[Tensor] = [one.detach().clone() for one in self.parameters]

    @torch.no_grad()
    def update(self) -> None:
        """Take in the parameters after a step."""
        self.steps += 1
        keep = min(self.keep, (1 + self.steps) / (10 + self.steps))
        if self.means:
            torch._foreach_lerp_(self.means, self.parameters, 1 - keep)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The parameters hold their means for as long as this lasts; no step may fall in it."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        for at, parameter in enumerate(self.parameters):
            parameter.data, self.means[at] = self.means[at], parameter.data

    def state_dict(self) -> dict[str, Any]:
        """Means and steps."""
        return {"steps": self.steps, "means": list(self.means)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self.steps = state["steps"]
        for mean, saved in zip(self.means, state["means"], strict=True):
            mean.copy_(saved)
