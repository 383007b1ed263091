"""MDL recovers what scenario and task tell together, and DLRM-MLP cannot (MDL 3.1.2, 3.2.3)."""

from dataclasses import replace

import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

import models
from models.batch import Ids, UserBatch
from models.layout import FeatureField, Layout
from models.loss import weighted_bce
from models.optimisers import OptimiserConfig, Optimisers
from tests.models.builder import BatchBuilder, UserShape

KIND = FeatureField("kind", "id", "kind", "item")
LAYOUT = Layout(
    scenarios=("home", "search"),
    domains=("feed",),
    tasks=("click", "buy"),
    actions=("click", "buy", "view"),
    task_actions=("click", "buy"),
    request=(),
    candidate=(KIND,),
    action=(KIND,),
)
HOME, SEARCH, NOWHERE = 0, 1, -1
CLICK, BUY, VIEW = 0, 1, 2
KINDS, TWICE = 4, 2


def test_mdl_recovers_scenario_times_task_and_dlrm_mlp_does_not() -> None:
    assert learnt("mdl", important=["kind"]) > 0.95
    assert learnt("dlrm_mlp") < 0.6


def learnt(name: str, **overrides: object) -> float:
    """The worse task's AUC on users never seen, after 100 batches of others."""
    model = models.create(name, LAYOUT, "demo", overrides)
    optimisers = Optimisers(model, OptimiserConfig(dense_rate=3e-3, sparse_rate=0.2))
    for seed in range(100):
        batch = planted(seed, users=64)
        optimisers.zero_grad()
        weighted_bce(model(batch), batch).backward()
        optimisers.step()
    batch = planted(10**6, users=256)
    with torch.no_grad():
        logits = model(batch)
    return min(roc_auc_score(batch.labels[:, k], logits[:, k]) for k in range(2))


def planted(seed: int, users: int) -> UserBatch:
    """Each user has one kind for each scenario, and the same two kinds for the two tasks.

    A label is 1 if the candidate is of the scenario's kind and of the task's. Views in a scenario
    are of its kind, clicks and buys, logged nowhere, of their task's. Both kinds come as often
    in a history and among candidates, so neither the mean of a history nor a candidate tells.
    """
    builder = BatchBuilder(seed, LAYOUT)
    shape = UserShape(history=4 * TWICE, recent=0, requests=(4,))
    batch = builder.batch([shape] * users)
    first = builder.integers(KINDS, users)
    by_scenario = torch.stack((first, (first + 1 + builder.integers(KINDS - 1, users)) % KINDS), 1)
    by_task = torch.where(
        builder.integers(2, users)[:, None] == 0, by_scenario, by_scenario.flip(1)
    )
    user = batch.request_user[batch.sample_request]
    scenario = batch.scenario[batch.sample_request]
    kind = by_scenario[user, builder.integers(2, batch.n_samples)]
    fits_scenario = kind == by_scenario[user, scenario]
    fits_task = kind[:, None] == by_task[user]
    labels = fits_scenario[:, None] & fits_task
    history = replace(
        batch.history,
        action=each_user(torch.tensor([VIEW, VIEW, CLICK, BUY]).expand(users, 4)),
        scenario=each_user(torch.tensor([HOME, SEARCH, NOWHERE, NOWHERE]).expand(users, 4)),
        features={"kind": ids(each_user(torch.cat((by_scenario, by_task), dim=1)))},
    )
    return replace(
        batch,
        history=history,
        sample_features={"kind": ids(kind)},
        labels=labels.float(),
        label_present=torch.ones_like(labels),
    )


def each_user(x_B4: Tensor) -> Tensor:
    """Four values a user, each for so many actions."""
    return x_B4.repeat_interleave(TWICE, dim=1).flatten()


def ids(kind: Tensor) -> Ids:
    return Ids(kind * 0x0123_4567_89AB_CDEF, torch.ones_like(kind, dtype=torch.bool))
