"""The point-wise form of a batch: each sample with its request and a copy of its user."""

import torch

import models
from models.batch import UserBatch
from tests.models.builder import LAYOUT, actions_of, numbers_of, rows_of


def impressions_of(batch: UserBatch) -> UserBatch:
    """Each sample with its request and a copy of its user's sequences."""
    request = batch.sample_request
    user = batch.request_user[request]
    one_each = torch.arange(batch.n_samples + 1)
    return UserBatch(
        user=batch.user[user],
        history=actions_of(batch.history, user.tolist()),
        recent=actions_of(batch.recent, user.tolist()),
        request_offsets=one_each,
        request_time_ms=batch.request_time_ms[request],
        scenario=batch.scenario[request],
        domain=batch.domain[request],
        origin_domain=batch.origin_domain[request],
        query_path=batch.query_path[request],
        query_score=numbers_of(batch.query_score, request),
        request_features=rows_of(batch.request_features, request),
        sample_offsets=one_each,
        item=batch.item,
        position=batch.position,
        origin=batch.origin,
        probability=batch.probability,
        sample_features=batch.sample_features,
        labels=batch.labels,
        label_present=batch.label_present,
    )


def check_equal_logits(name: str, one: UserBatch, other: UserBatch) -> None:
    """Raises AssertionError if the model tells the two forms apart."""
    model = models.create(name, LAYOUT, "demo")
    with torch.no_grad():
        torch.testing.assert_close(model(one), model(other), rtol=1e-4, atol=1e-4)
    print("logits of both forms are equal")
