"""What every ranking model is: a module built from a layout and a frozen configuration."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from models.axes import Axes
from models.batch import UserBatch
from models.layout import Layout
from schemas.errors import UserError


class ModelError(UserError):
    """A model, preset or configuration that does not exist or does not fit together."""


@dataclass(frozen=True)
class HeatMap:
    """How much some tokens look at others; a row of NaN was not there to look."""

    title: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    shares: Tensor
    """[rows, columns]; a row sums to 1."""


class RankingModel(nn.Module, ABC):
    """Scores the samples of a batch on every task. Built as `Model(layout, config)`.

    A model reads only what was known at a sample's request: never `position`, `origin`,
    `probability`, `query_path`, `query_score`, labels, other samples, nor an action of R that is
    not strictly earlier.

    A batch comes on the host, whatever device the weights are on. What must be read of its numbers
    (who belongs to whom, how long, which row of a table) is read there, into a plan, which is then
    moved to the weights' device; each column follows where it is embedded (`models.device.moved`).
    So no layer asks the device for a number and waits for the answer.
    """

    presets: ClassVar[Mapping[str, Any]]
    """Ready configurations by name: frozen dataclasses of one type."""

    @abstractmethod
    def forward(self, batch: UserBatch) -> Tensor:
        """Logits [n_samples, n_tasks], in the order of the batch and of the layout's tasks.

        The batch is on the host, the logits are where the weights are.
        """

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def of_scenario(self, name: str) -> "RankingModel":
        """The part of the model that scores this scenario, for inference: it may share tensors.

        Raises UserError for an unknown scenario, or if the model has no such part.
        """
        raise ModelError(
            f"scenario: expected a model with parts of single scenarios (mtfm), received a "
            f"{type(self).__name__}, in which {name!r} is a feature. Export the whole version."
        )

    def axes(self, layout: Layout) -> Axes:  # noqa: ARG002
        """What the axes of parameters stand for under a layout, so that a model can be grown.

        Of a parameter that is not named here, a grown model keeps nothing if its shape changes.
        """
        return {}

    def tokens(self, batch: UserBatch) -> Mapping[str, int]:  # noqa: ARG002
        """How many tokens the model makes of a batch, by kind; none if it has no tokens."""
        return {}

    def heat_maps(self, batch: UserBatch) -> tuple[HeatMap, ...]:  # noqa: ARG002
        """Where tokens look, as means over a batch, for a person; none if there is no such thing.

        It is called in evaluation mode and without gradients.
        """
        return ()
