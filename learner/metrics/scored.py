"""What the metrics see of scored samples.

Shape legend: N samples, K tasks.
"""

from collections.abc import Sequence
from dataclasses import dataclass

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
    scenario: Ints
    """int64 [N], as are the next two."""
    request: Ints
    user: Ints

    @property
    def n_samples(self) -> int:
        return len(self.scenario)

    def task(self, task: int) -> "TaskScored":
        """The samples of one task that have a label."""
        kept = self.present[:, task]
        return TaskScored(
            logit=self.logits[kept, task],
            positive=self.positive[kept, task],
            scenario=self.scenario[kept],
            request=self.request[kept],
            user=self.user[kept],
        )


@dataclass(frozen=True)
class TaskScored:
    """One task's labelled samples, all arrays [n]."""

    logit: Floats
    positive: Bools
    scenario: Ints
    request: Ints
    user: Ints


def joined(parts: Sequence[Scored]) -> Scored:
    """Several batches as one; users and requests of different batches stay apart."""
    requests = _shifts([part.request for part in parts])
    users = _shifts([part.user for part in parts])
    return Scored(
        logits=np.concatenate([part.logits for part in parts]),
        positive=np.concatenate([part.positive for part in parts]),
        present=np.concatenate([part.present for part in parts]),
        scenario=np.concatenate([part.scenario for part in parts]),
        request=np.concatenate([p.request + s for p, s in zip(parts, requests, strict=True)]),
        user=np.concatenate([p.user + s for p, s in zip(parts, users, strict=True)]),
    )


def _shifts(groups: Sequence[Ints]) -> list[int]:
    sizes = [int(one.max()) + 1 if one.size else 0 for one in groups]
    return [sum(sizes[:i]) for i in range(len(sizes))]
