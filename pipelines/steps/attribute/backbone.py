"""What the kernels see of the memory."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines.arrays import Bools, Ints
from pipelines.steps.attribute.memory import Memory
from pipelines.steps.attribute.rules import Rules
from pipelines.steps.attribute.tables import Feedback


@dataclass(frozen=True)
class Backbone:
    """The native requests as the kernels want them, in (user, time, request id falling) order.

    `begin` and `stop` bound the requests of the users of some rows of feedback; they mean
    nothing of others.
    """

    requests: tuple[Ints, Ints, Ints, Ints, Ints]
    samples: tuple[Ints, Bools]
    begin: Ints
    stop: Ints

    @classmethod
    def of(cls, memory: Memory, feedback: Ints, rules: Rules) -> "Backbone":
        """The memory's requests without the pseudo ones, which rules 2 and 3 never see.

        `feedback` are the rows that are to be placed; the memory's requests are in order.
        """
        rows = memory.requests
        native = np.count_nonzero(~rows.pseudo)
        first = rows.first[:native]
        requests = (
            rows.time_ms[:native],
            rows.request[:native],
            rules.domain_of(rows.scenario[:native]),
            first,
            first + rows.samples[:native],
        )
        samples = memory.samples.item, memory.samples.exposed
        bounds = _bounds(rows.user[:native], memory.feedback.user, feedback)
        return cls(requests, samples, *bounds)

    def events(self, feedback: Feedback, rows: Ints) -> tuple[Any, ...]:
        """Rows of feedback with the bounds of their users' requests, as the kernels want them."""
        return (
            self.begin[rows],
            self.stop[rows],
            feedback.time_ms[rows],
            feedback.item[rows],
            feedback.domain[rows],
            feedback.request[rows],
            feedback.named[rows],
            feedback.settle_ms[rows],
        )


def _bounds(requests: Ints, feedback: Ints, rows: Ints) -> tuple[Ints, Ints]:
    """Where the requests of the users of some rows of feedback begin and stop."""
    begin, stop = np.zeros(len(feedback), np.int64), np.zeros(len(feedback), np.int64)
    users, owner = np.unique(feedback[rows], return_inverse=True)
    begin[rows] = np.searchsorted(requests, users, side="left")[owner]
    stop[rows] = np.searchsorted(requests, users, side="right")[owner]
    return begin, stop
