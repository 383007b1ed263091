"""One training step, which refuses to learn from numbers that are none.

Shape legend: N samples, K tasks.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import Literal

import torch
from torch import Tensor

from models.base import RankingModel
from models.batch import UserBatch
from models.device import moved
from models.loss import weighted_bce
from models.optimisers import Optimisers

Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class Step:
    """Forward, loss, backward, update.

    Args:
        model: to be trained.
        optimisers: of the model.
        task_weights: one a task.
        precision: of the products in forward and backward; weights stay float32.
    """

    model: RankingModel
    optimisers: Optimisers
    task_weights: tuple[float, ...]
    precision: Precision = "float32"

    def __call__(self, batch: UserBatch) -> float | None:
        """Train on a batch; its loss, or None if it was skipped.

        A batch is skipped, the weights as they were, if its loss or a gradient is no number. Its
        ids were seen all the same.
        """
        self.model.train()
        self.optimisers.zero_grad()
        half = self.precision == "bfloat16"
        with torch.autocast(self.model.device.type, torch.bfloat16, enabled=half):
            loss = task_weighted_loss(self.model(batch), batch, self.task_weights)
        loss.backward()  # type: ignore[no-untyped-call]
        # One wait for the device a step, for all that is asked of it.
        value, norm = torch.stack([loss.detach(), self.optimisers.clip()]).tolist()
        if not (isfinite(value) and isfinite(norm)):
            self.optimisers.zero_grad()
            return None
        self.optimisers.step()
        return float(value)


def task_weighted_loss(logits_NK: Tensor, batch: UserBatch, weights: Sequence[float]) -> Tensor:
    """The tasks' mean cross-entropies, averaged by weight: `Σ_k w_k L_k / Σ_k w_k`, a scalar.

    A task without a label in the batch has `L_k = 0`.
    """
    labels, present = moved((batch.labels, batch.label_present), logits_NK.device)
    batch = replace(batch, labels=labels, label_present=present)
    losses = [
        weight * weighted_bce(logits_NK[:, k : k + 1], _task(batch, k))
        for k, weight in enumerate(weights)
    ]
    return torch.stack(losses).sum() / max(sum(weights), 1e-30)


def _task(batch: UserBatch, k: int) -> UserBatch:
    labels, present = batch.labels[:, k : k + 1], batch.label_present[:, k : k + 1]
    return replace(batch, labels=labels, label_present=present)
