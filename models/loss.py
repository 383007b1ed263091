"""What models minimise."""

from torch import Tensor
from torch.nn import functional

from models.batch import UserBatch
from models.device import moved


def weighted_bce(logits: Tensor, batch: UserBatch) -> Tensor:
    """Mean binary cross-entropy over the labels that are present, a scalar; 0 if none is.

        loss = - Σ w (y log σ(z) + (1 - y) log(1 - σ(z))) / Σ w      w = 1 if present, else 0

    A value task counts as positive where its label is above 0. Labels go to where the logits are.
    """
    labels, present = moved((batch.labels, batch.label_present), logits.device)
    targets = (labels > 0).to(logits.dtype)
    weight = present.to(logits.dtype)
    total = functional.binary_cross_entropy_with_logits(
        logits, targets, weight=weight, reduction="sum"
    )
    return total / weight.sum().clamp(min=1)
