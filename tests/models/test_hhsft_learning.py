"""HHSFT takes what helps from a foreign domain, and no harm; DLRM-MLP cannot (UniScale 3.4.2)."""

from dataclasses import replace

import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

import models
from models.batch import Ids, Numbers, UserBatch
from models.layout import FeatureField, Layout
from models.loss import weighted_bce
from models.optimisers import OptimiserConfig, Optimisers
from tests.models.builder import BatchBuilder, UserShape

SURFACES, NEW = 200, 50
"""Scenarios of each domain, and how many of them no training request is of."""

FEED, SEARCH = 0, 1
KINDS = 2000
LAYOUT = Layout(
    scenarios=tuple(f"{domain}{i}" for domain in ("feed", "search") for i in range(SURFACES)),
    domains=("feed", "search"),
    tasks=("click",),
    actions=("click",),
    task_actions=("click",),
    request=(),
    candidate=(
        FeatureField("kind", "id", "kind", "item"),
        FeatureField("price", "number", "", "cross"),
    ),
    action=(),
)


def test_hhsft_learns_from_a_foreign_domain_what_helps_and_no_harm() -> None:
    both = learnt("hhsft", foreign=True)
    assert both > 0.9
    assert both > learnt("hhsft", foreign=False) + 0.02
    assert learnt("dlrm_mlp", foreign=True) < 0.75


def learnt(name: str, foreign: bool) -> float:
    """AUC on new surfaces of the search after 220 batches, with or without those of the feed."""
    model = models.create(name, LAYOUT, "tiny", {"tables": {"rows": 1 << 14}})
    optimisers = Optimisers(model, OptimiserConfig(dense_rate=5e-3, sparse_rate=0.1))
    for seed in range(220):
        batch = planted(seed, search=8, feed=24 if foreign else 0)
        optimisers.zero_grad()
        weighted_bce(model(batch), batch).backward()
        optimisers.step()
    batch = planted(10**6, search=500, feed=0, new=True)
    with torch.no_grad():
        return float(roc_auc_score(batch.labels, model(batch)))


def planted(seed: int, search: int, feed: int, new: bool = False) -> UserBatch:
    """Which kinds please is the same in both domains; low prices please the search, high the feed.

    The search alone is too small to learn 2,000 kinds from. Each domain has surfaces enough that a
    domain cannot be told by those that were seen.
    """
    builder = BatchBuilder(seed, LAYOUT)
    batch = builder.batch([UserShape(0, 0, (4,))] * (search + feed))
    domain = torch.tensor([SEARCH] * search + [FEED] * feed)
    surface = (
        builder.integers(NEW, len(domain))
        if new
        else NEW + builder.integers(SURFACES - NEW, len(domain))
    )
    kind = builder.integers(KINDS, batch.n_samples)
    price = torch.randn(batch.n_samples, generator=builder.generator)
    cheap = torch.where(domain[batch.sample_request] == SEARCH, -price, price)
    score = 3 * taste()[kind] + 3 * cheap
    label = torch.rand(batch.n_samples, generator=builder.generator) < score.sigmoid()
    there = torch.ones_like(label)
    return replace(
        batch,
        scenario=domain * SURFACES + surface,
        domain=domain,
        origin_domain=domain,
        sample_features={
            "kind": Ids(kind * 0x0123_4567_89AB_CDEF, there),
            "price": Numbers(price, there),
        },
        labels=label.float()[:, None],
        label_present=there[:, None],
    )


def taste() -> Tensor:
    """Half of the kinds please, half do not: ±1 [KINDS]."""
    return 2.0 * torch.randint(2, (KINDS,), generator=torch.Generator().manual_seed(1)) - 1
