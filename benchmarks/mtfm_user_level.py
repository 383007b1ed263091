"""MTFM on user-level batches against one copy of the user per impression (MTFM 3.1).

The same impressions, model and weights: 32 impressions a user, history 512. Checked first: both
sides give the same logits. Measured: a whole training step, by turns; the median ratio counts.
"""

import statistics
import time
from collections.abc import Callable

import torch

import models
from models.batch import UserBatch
from models.loss import weighted_bce
from models.optimisers import OptimiserConfig, Optimisers
from tests.models.builder import LAYOUT, BatchBuilder, UserShape, actions_of, numbers_of, rows_of

USERS = 4
SHAPE = UserShape(history=512, recent=32, requests=(4,) * 8)
REPEATS = 5
GOAL = 20.0


def main() -> None:
    by_user = BatchBuilder(0).batch([SHAPE] * USERS)
    by_impression = impressions_of(by_user)
    check_equal_logits("mtfm", by_user, by_impression)
    short, long = training_step("mtfm", by_user), training_step("mtfm", by_impression)
    ratios = [seconds(long) / seconds(short) for _ in range(REPEATS + 1)][1:]
    ratio = statistics.median(ratios)
    print(f"{by_user.n_samples} impressions of {USERS} users, preset demo, ratios {ratios}")
    verdict = "ok" if ratio >= GOAL else "short"
    print(f"FIGURE mtfm_user_level_vs_impression {ratio:.1f} {GOAL:.0f} {verdict}")


def impressions_of(batch: UserBatch) -> UserBatch:
    """The point-wise form: each sample with its request and a copy of its user's sequences."""
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


def training_step(name: str, batch: UserBatch) -> Callable[[], None]:
    """Forward, loss, backward and both optimisers, on a model of its own."""
    model = models.create(name, LAYOUT, "demo")
    optimisers = Optimisers(model, OptimiserConfig())

    def step() -> None:
        optimisers.zero_grad()
        weighted_bce(model(batch), batch).backward()
        optimisers.step()

    return step


def seconds(step: Callable[[], None]) -> float:
    """Wall time of one step."""
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
