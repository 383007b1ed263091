"""What the metrics see of scored samples.

Shape legend: N samples, K tasks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Scored:
    """Samples of whole users with their predictions; users and requests are dense numbers."""

    logits: Floats
    """float64 [N, K]."""
    positive: Bools
    """bool [N, K]."""
    present: Bools
    """bool [N, K]; false where the label is missing: such a cell counts for nothing."""
    column: Ints
    """int64 [N], as are the next two: the scenario, domain or origin that is reported apart."""
    request: Ints
    user: Ints
    user_hash: Ints
    """int64 [users]: who the dense numbers of `user` are."""

    @property
    def n_samples(self) -> int:
        return len(self.column)

    def task(self, task: int) -> "TaskScored":
        """The samples of one task that have a label."""
        kept = self.present[:, task]
        return TaskScored(
            logit=self.logits[kept, task],
            positive=self.positive[kept, task],
            column=self.column[kept],
            request=self.request[kept],
            user=self.user[kept],
            user_hash=self.user_hash,
        )


@dataclass(frozen=True)
class TaskScored:
    """One task's labelled samples, all arrays [n]."""

    logit: Floats
    positive: Bools
    column: Ints
    request: Ints
    user: Ints
    user_hash: Ints
    """int64 [users]."""


def joined(parts: Sequence[Scored]) -> Scored:
    """Several batches as one; users and requests of different batches stay apart."""
    requests = _shifts([part.request for part in parts])
    users = [0, *accumulate(len(part.user_hash) for part in parts)][: len(parts)]
    return Scored(
        logits=np.concatenate([part.logits for part in parts]),
        positive=np.concatenate([part.positive for part in parts]),
        present=np.concatenate([part.present for part in parts]),
        column=np.concatenate([part.column for part in parts]),
        request=np.concatenate([p.request + s for p, s in zip(parts, requests, strict=True)]),
        user=np.concatenate([p.user + s for p, s in zip(parts, users, strict=True)]),
        user_hash=np.concatenate([part.user_hash for part in parts]),
    )


def _shifts(groups: Sequence[Ints]) -> list[int]:
    sizes = [int(one.max()) + 1 if one.size else 0 for one in groups]
    return [sum(sizes[:i]) for i in range(len(sizes))]
