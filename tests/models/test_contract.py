"""Every registered model through every check of the contract."""

from collections.abc import Mapping
from dataclasses import replace
from io import BytesIO
from typing import Any

import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

import models
from models.base import RankingModel
from models.batch import Actions, Column, IdLists, UserBatch, row_of
from models.loss import weighted_bce
from models.optimisers import OptimiserConfig, Optimisers
from models.tables import tables_in
from tests.models.builder import (
    LAYOUT,
    ODD_SHAPES,
    WINDOW_START_MS,
    BatchBuilder,
    UserShape,
    samples_of,
    users_of,
)

pytestmark = pytest.mark.parametrize("name", models.names())


def tiny(name: str, seed: int = 0) -> RankingModel:
    return models.create(name, LAYOUT, "tiny", seed=seed)


def logits_of(model: RankingModel, batch: UserBatch) -> Tensor:
    with torch.no_grad():
        return model(batch)


@pytest.mark.parametrize("seed", range(3))
def test_one_finite_logit_a_sample_and_task(name: str, seed: int) -> None:
    batch = BatchBuilder(seed).batch()
    logits = logits_of(tiny(name), batch)
    assert logits.shape == (batch.n_samples, len(LAYOUT.tasks))
    assert logits.dtype == torch.float32
    assert logits.isfinite().all()


@pytest.mark.parametrize("shape", ODD_SHAPES)
def test_a_user_of_any_shape_may_come_alone(name: str, shape: UserShape) -> None:
    batch = BatchBuilder(1).batch([shape])
    assert logits_of(tiny(name), batch).shape == (sum(shape.requests), len(LAYOUT.tasks))


def test_gradient_reaches_every_parameter(name: str) -> None:
    model, batch = tiny(name), BatchBuilder(0).batch(ODD_SHAPES * 2)
    weighted_bce(model(batch), batch).backward()
    untouched = [
        key for key, p in model.named_parameters() if p.grad is None or not p.grad.norm() > 0
    ]
    assert untouched == []


def test_order_of_users_changes_nothing(name: str) -> None:
    model, batch = tiny(name), BatchBuilder(2).batch()
    order = [4, 0, 5, 2, 1, 3]
    logits = logits_of(model, batch)
    expected = torch.cat([logits[samples_of(batch, user)] for user in order])
    torch.testing.assert_close(logits_of(model, users_of(batch, order)), expected)


def test_company_in_the_batch_changes_nothing(name: str) -> None:
    model, batch = tiny(name), BatchBuilder(3).batch()
    logits = logits_of(model, batch)
    alone = [logits_of(model, users_of(batch, [user])) for user in range(batch.n_users)]
    torch.testing.assert_close(logits, torch.cat(alone))


@pytest.mark.parametrize("seed", range(2))
def test_nothing_but_the_past_and_the_request_itself_matters(name: str, seed: int) -> None:
    model, batch = tiny(name), BatchBuilder(seed).batch()
    logits = logits_of(model, batch)
    for request in range(batch.n_requests):
        other = logits_of(model, all_else_changed(batch, request))
        own = batch.sample_request == request
        torch.testing.assert_close(other[own], logits[own], rtol=1e-5, atol=1e-5)


def all_else_changed(batch: UserBatch, request: int) -> UserBatch:
    """Another batch that agrees on what this request may know, and on nothing else."""
    own_request = torch.arange(batch.n_requests) == request
    own_sample = own_request[batch.sample_request]
    user, time_ms = batch.request_user[request], batch.request_time_ms[request]
    own_recent = (row_of(batch.recent.offsets) == user) & (batch.recent.time_ms < time_ms)
    own_history = row_of(batch.history.offsets) == user
    return replace(
        batch,
        history=changed_actions(batch.history, own_history),
        recent=changed_actions(batch.recent, own_recent),
        request_features=changed(batch.request_features, own_request),
        sample_features=changed(batch.sample_features, own_sample),
        scenario=torch.where(own_request, batch.scenario, (batch.scenario + 1) % 3),
        item=torch.where(own_sample, batch.item, batch.item + 1),
        domain=torch.where(own_request, batch.domain, 1 - batch.domain),
        origin_domain=torch.where(own_request, batch.origin_domain, 1 - batch.origin_domain),
        query_path=batch.query_path + 1,
        query_score=changed_column(batch.query_score, none(batch.n_requests)),
        position=batch.position + 1,
        origin=(batch.origin + 1) % 4,
        probability=batch.probability / 2,
        labels=1 - batch.labels,
        label_present=~batch.label_present,
    )


def changed_actions(actions: Actions, keep: Tensor) -> Actions:
    return replace(
        actions,
        item=torch.where(keep, actions.item, actions.item + 1),
        action=torch.where(keep, actions.action, 1 - actions.action),
        scenario=torch.where(keep, actions.scenario, (actions.scenario + 2) % 4 - 1),
        features=changed(actions.features, keep),
    )


def changed(columns: Mapping[str, Column], keep: Tensor) -> dict[str, Column]:
    return {name: changed_column(column, keep) for name, column in columns.items()}


def changed_column(column: Column, keep: Tensor) -> Column:
    if isinstance(column, IdLists):
        kept = keep[row_of(column.offsets)]
        return IdLists(torch.where(kept, column.values, column.values + 1), column.offsets)
    values = torch.where(keep, column.values, column.values + 1)
    return type(column)(values, column.present | ~keep)


@pytest.mark.parametrize("part", ["history", "recent", "request", "candidate", "item"])
def test_what_a_request_may_know_does_matter(name: str, part: str) -> None:
    model, batch = tiny(name), BatchBuilder(4).batch([UserShape(3, 3, (2,))])
    batch = replace(batch, request_time_ms=torch.tensor([WINDOW_START_MS + 100]))
    other = {
        "history": lambda: replace(batch, history=changed_actions(batch.history, none(3))),
        "recent": lambda: replace(batch, recent=changed_actions(batch.recent, none(3))),
        "request": lambda: replace(
            batch, request_features=changed(batch.request_features, none(1))
        ),
        "candidate": lambda: replace(
            batch, sample_features=changed(batch.sample_features, none(2))
        ),
        "item": lambda: replace(batch, item=batch.item + 1),
    }[part]()
    moved = (logits_of(model, other) - logits_of(model, batch)).abs()
    assert (moved.amax(dim=1) > 1e-5).all()


def none(n: int) -> Tensor:
    return torch.zeros(n, dtype=torch.bool)


def test_state_makes_a_round_trip(name: str) -> None:
    batch = BatchBuilder(5).batch()
    model, other = tiny(name, seed=1), tiny(name, seed=2)
    other.load_state_dict(through_bytes(model.state_dict()))
    assert torch.equal(logits_of(model, batch), logits_of(other, batch))


def through_bytes(state: dict[str, Any]) -> dict[str, Any]:
    """The state as a file would give it back, sharing no memory."""
    file = BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@pytest.mark.parametrize(("dense", "sparse"), [("adam", "adagrad"), ("rmsprop", "adam")])
def test_resuming_equals_never_having_stopped(name: str, dense: str, sparse: str) -> None:
    config = OptimiserConfig(dense=dense, sparse=sparse)
    batches = [BatchBuilder(seed).batch() for seed in range(4)]
    straight, resumed = tiny(name), tiny(name, seed=9)
    optimisers = Optimisers(straight, config)
    train(straight, optimisers, batches[:2])
    others = Optimisers(resumed, config)
    resumed.load_state_dict(through_bytes(straight.state_dict()))
    others.load_state_dict(through_bytes(optimisers.state_dict()))
    train(straight, optimisers, batches[2:])
    train(resumed, others, batches[2:])
    for (key, value), other in zip(
        straight.state_dict().items(), resumed.state_dict().values(), strict=True
    ):
        assert torch.equal(value, other), key


def train(model: RankingModel, optimisers: Optimisers, batches: list[UserBatch]) -> None:
    for batch in batches:
        optimisers.zero_grad()
        weighted_bce(model(batch), batch).backward()
        optimisers.step()


def test_bfloat16_stays_finite_and_near(name: str) -> None:
    model, batch = tiny(name), BatchBuilder(6).batch()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(batch)
        loss = weighted_bce(logits, batch)
    loss.backward()
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, logits_of(model, batch), rtol=0.1, atol=0.05)
    assert all(p.grad.norm().isfinite() for p in model.parameters())


def test_scoring_changes_nothing_in_the_tables(name: str) -> None:
    """Neither new ids nor sightings: a model that scores is the model it was."""
    model = models.create(name, LAYOUT, "tiny", {"tables": {"admit_after": 2}})
    model(BatchBuilder(1).batch())
    before = {key: value.clone() for key, value in model.state_dict().items()}
    model.eval()
    logits = logits_of(model, BatchBuilder(2).batch())
    assert logits.isfinite().all()
    assert torch.equal(logits_of(model, BatchBuilder(2).batch()), logits)
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key]), key


def test_padding_and_what_is_missing_are_apart(name: str) -> None:
    """An item is never missing, so nothing reads or moves that row, however much is padded."""
    model, batch = tiny(name), BatchBuilder(0).batch()
    weighted_bce(model(batch), batch).backward()
    items = [one for key, one in tables_in(model).items() if key.endswith("table_item")]
    assert items
    for table in items:
        assert table.weight.grad.coalesce().indices().min() > 0


def test_same_seed_same_weights_and_the_callers_randomness_is_left_alone(name: str) -> None:
    before = torch.random.get_rng_state()
    one, two, other = tiny(name), tiny(name), tiny(name, seed=1)
    assert torch.equal(before, torch.random.get_rng_state())
    pairs = list(zip(one.parameters(), two.parameters(), other.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b, _ in pairs)
    assert any(not torch.equal(a, c) for a, _, c in pairs)


def test_64_users_are_learnt_by_heart(name: str) -> None:
    batch = BatchBuilder(7).batch([UserShape(4, 2, (1, 1))] * 64)
    generator = torch.Generator().manual_seed(8)
    item = torch.randint(-(2**62), 2**62, batch.item.shape, generator=generator)
    batch = replace(batch, item=item, label_present=torch.ones_like(batch.label_present))
    model = models.create(name, LAYOUT, "tiny", {"tables": {"rows": 1 << 14}})
    optimisers = Optimisers(model, OptimiserConfig(dense_rate=5e-3, sparse_rate=0.1))
    train(model, optimisers, [batch] * 60)
    assert roc_auc_score(batch.labels, logits_of(model, batch)) > 0.99


def test_ten_thousand_candidates_may_come_in_one_request(name: str) -> None:
    model = tiny(name)
    batch = BatchBuilder(9).batch([UserShape(5, 3, (10_000,)), UserShape(0, 1, (2,))])
    logits = logits_of(model, batch)
    assert logits.shape == (10_002, len(LAYOUT.tasks))
    few = users_of(batch, [1])
    torch.testing.assert_close(logits[10_000:], logits_of(model, few))


def test_a_task_that_is_missing_everywhere_teaches_nothing(name: str) -> None:
    model, batch = tiny(name), BatchBuilder(10).batch()
    present = batch.label_present.clone()
    present[:, 1] = False
    batch = replace(batch, label_present=present)
    gradients = []
    for labels in (batch.labels, batch.labels * torch.tensor([1.0, 0.0])):
        model.zero_grad()
        loss = weighted_bce(model(batch), replace(batch, labels=labels))
        loss.backward()
        assert loss > 0
        gradients.append([dense_gradient(p) for p in model.parameters()])
    for one, other in zip(*gradients, strict=True):
        assert one.isfinite().all()
        assert torch.equal(one, other)


def dense_gradient(parameter: Tensor) -> Tensor:
    gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
    return gradient.to_dense() if gradient.is_sparse else gradient


def test_a_scenario_never_seen_is_scored(name: str) -> None:
    model, batch = tiny(name), BatchBuilder(11).batch(ODD_SHAPES * 2)
    known = replace(batch, scenario=batch.scenario % 2)
    train(model, Optimisers(model, OptimiserConfig()), [known] * 3)
    logits = logits_of(model, replace(batch, scenario=torch.full_like(batch.scenario, 2)))
    assert logits.isfinite().all()
    assert (logits.std(dim=0) > 0).all()


def test_ids_never_seen_are_scored(name: str) -> None:
    model, batch = tiny(name), BatchBuilder(12).batch()
    train(model, Optimisers(model, OptimiserConfig()), [batch] * 3)
    strange = replace(
        batch,
        user=batch.user + 1,
        item=batch.item + 1,
        history=changed_actions(batch.history, none(batch.history.item.numel())),
        recent=changed_actions(batch.recent, none(batch.recent.item.numel())),
        request_features=changed(batch.request_features, none(batch.n_requests)),
        sample_features=changed(batch.sample_features, none(batch.n_samples)),
    )
    assert logits_of(model, strange).isfinite().all()


def test_nobody_needs_a_history(name: str) -> None:
    model, batch = tiny(name), BatchBuilder(13).batch([UserShape(0, 0, (3, 1))] * 3)
    train(model, Optimisers(model, OptimiserConfig()), [batch] * 2)
    assert logits_of(model, batch).isfinite().all()
