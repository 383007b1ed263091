"""What every part of an HHSFT needs to know of a batch; computed once a batch.

B users, Q requests, N samples, S streams.
"""

from dataclasses import dataclass

from torch import Tensor

from models.batch import UserBatch
from models.layers.grouped import Grouping
from models.layers.pooling import Runs
from models.layers.visibility import seen_history, seen_recent


@dataclass(frozen=True)
class Plan:
    """Who belongs to whom, and which actions are pooled together."""

    sample_request: Tensor
    """int64 [N]."""
    request_user: Tensor
    """int64 [Q]."""
    scenario: Tensor
    """int64 [Q]."""
    domain: Tensor
    """int64 [Q], where the request was logged."""
    by_domain: Grouping
    """Samples by that domain."""
    history: Runs
    """H of each user by stream, [B · S]."""
    recent: Runs
    """What of R each request sees, by stream, [Q · S]."""


def plan_of(batch: UserBatch, n_streams: int, n_domains: int) -> Plan:
    """The plan of a batch."""
    sample_request = batch.sample_request
    return Plan(
        sample_request=sample_request,
        request_user=batch.request_user,
        scenario=batch.scenario,
        domain=batch.origin_domain,
        by_domain=Grouping.of(batch.origin_domain[sample_request], n_domains),
        history=seen_history(batch).by_group(batch.history.action, n_streams),
        recent=seen_recent(batch).by_group(batch.recent.action, n_streams),
    )
