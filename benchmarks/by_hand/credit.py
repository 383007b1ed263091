"""Rules 1 and 2: which sample each action credits."""

from dataclasses import dataclass

import numpy as np

from benchmarks.by_hand.actions import Actions
from benchmarks.by_hand.arrays import Array, Ints
from benchmarks.by_hand.kernels.credit import credit_task
from benchmarks.by_hand.names import TASKS
from benchmarks.by_hand.requests import Requests
from schemas.spec import Spec


@dataclass(frozen=True)
class Credits:
    """Which sample of which request each action credits (-1: none), by which tier.

    Chains of actions by task and sample begin at `heads` and go back in time.
    """

    sample: Ints
    request: Ints
    tier: Array
    heads: tuple[Array, Array]
    following: Array


def credit(requests: Requests, actions: Actions, spec: Spec) -> Credits:
    """Rules 1 and 2: clicks first, for purchases look at what was clicked."""
    samples, rows = len(requests.kept), len(actions.row)
    heads = (np.full(samples, -1, np.int32), np.full(samples, -1, np.int32))
    nowhere = np.full(rows, -1)
    chains = (heads, nowhere.astype(np.int32), nowhere, nowhere.copy(), np.zeros(rows, np.int8))
    acts = (
        actions.task,
        actions.time_ms,
        actions.item,
        actions.place,
        actions.request,
        actions.named,
        actions.fall_ms,
    )
    shows = (requests.time_ms, requests.key, requests.place, requests.begin, requests.end)
    bounds = (actions.bounds, requests.bounds)
    for task, name in enumerate(TASKS):
        horizon_ms, longest_ms = spec.tasks[name].horizon_ms, spec.longest_horizon_ms
        credit_task(task, horizon_ms, longest_ms, bounds, acts, shows, requests.item, chains)
    return Credits(chains[2], chains[3], chains[4], heads, chains[1])
