"""INFNet finds what only single tokens of a long list tell; a model of pooled lists cannot."""

from dataclasses import replace

import torch
from sklearn.metrics import roc_auc_score

import models
from models.base import RankingModel
from models.batch import IdLists, UserBatch
from models.loss import weighted_bce
from models.optimisers import OptimiserConfig, Optimisers
from tests.models.builder import LAYOUT, BatchBuilder, UserShape

USERS, ACTIONS, CANDIDATES, ITEMS = 64, 96, 4, 16
SIZES = {
    "infnet": {"width": 16, "hub_hidden": 64, "tables": {"std": 0.6}},
    "dlrm_mlp": {"embedding": 16, "hidden": [64, 32], "tables": {"std": 0.6}},
}


def test_token_level_pairs_of_a_long_list_are_found_and_lost_by_pooling() -> None:
    scores = {name: auc(trained(name, steps=180)) for name in SIZES}
    assert scores["infnet"] > 0.95
    # How many of a user's items carry the tag is all that a pooled list tells.
    assert 0.6 < scores["dlrm_mlp"] < 0.7


def trained(name: str, steps: int) -> RankingModel:
    model = models.create(name, LAYOUT, "tiny", SIZES[name])
    optimisers = Optimisers(model, OptimiserConfig(dense_rate=5e-3, sparse_rate=0.1))
    for step in range(steps):
        batch = pairs_of_item_and_tag(step)
        optimisers.zero_grad()
        weighted_bce(model(batch), batch).backward()
        optimisers.step()
    return model


def auc(model: RankingModel) -> float:
    batches = [pairs_of_item_and_tag(1_000_000 + i) for i in range(6)]
    with torch.no_grad():
        scores = torch.cat([model(batch)[:, 0] for batch in batches])
    return roc_auc_score(torch.cat([batch.labels[:, 0] for batch in batches]), scores)


def pairs_of_item_and_tag(seed: int) -> UserBatch:
    """To each user some items are good, drawn anew: their actions carry a tag that says so.

    A candidate's label is the tag that this user's actions on this very item carry. The list as a
    whole holds every item and both tags: what counts is which stand together.
    """
    builder = BatchBuilder(seed)
    batch = builder.batch([UserShape(ACTIONS, 0, (CANDIDATES,))] * USERS)
    items = builder.integers(ITEMS, USERS * ACTIONS).view(USERS, ACTIONS)
    good = builder.integers(2, USERS * ITEMS).view(USERS, ITEMS)
    picked = builder.integers(ACTIONS, USERS * CANDIDATES).view(USERS, CANDIDATES)
    tags = 1000 + good.gather(1, items).flatten()
    features = dict(batch.history.features)
    features["tags"] = IdLists(tags, torch.arange(USERS * ACTIONS + 1))
    candidates = items.gather(1, picked)
    label = good.gather(1, candidates).flatten().float()
    return replace(
        batch,
        history=replace(batch.history, item=items.flatten(), features=features),
        item=candidates.flatten(),
        labels=torch.stack([label, label], dim=1),
        label_present=torch.ones(len(label), 2, dtype=torch.bool),
    )
