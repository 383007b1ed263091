"""What the kernels see of the memory."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines.arrays import Bools, Ints
from pipelines.steps.attribute.memory import Memory
from pipelines.steps.attribute.rules import Rules
from pipelines.steps.attribute.tables import Feedback
from pipelines.steps.ragged import offsets_of


@dataclass(frozen=True)
class Backbone:
    """The native requests as the kernels want them, in (user, time, request id falling) order."""

    user: Ints
    requests: tuple[Ints, Ints, Ints, Ints, Ints]
    samples: tuple[Ints, Bools]

    @classmethod
    def of(cls, memory: Memory, rules: Rules) -> "Backbone":
        """The memory's requests without the pseudo ones, which rules 2 and 3 never see."""
        rows, offsets = memory.requests, offsets_of(memory.requests.samples)
        native = np.flatnonzero(~rows.pseudo)
        requests = (
            rows.time_ms[native],
            rows.request[native],
            rules.domain_of(rows.scenario[native]),
            offsets[native],
            offsets[native + 1],
        )
        return cls(rows.user[native], requests, (memory.samples.item, memory.samples.exposed))

    def events(self, feedback: Feedback, rows: Ints) -> tuple[Any, ...]:
        """Rows of feedback with the bounds of their users' requests, as the kernels want them."""
        user = feedback.user[rows]
        return (
            np.searchsorted(self.user, user, side="left"),
            np.searchsorted(self.user, user, side="right"),
            feedback.time_ms[rows],
            feedback.item[rows],
            feedback.domain[rows],
            feedback.request[rows],
            feedback.named[rows],
            feedback.settle_ms[rows],
        )
