"""MTFM on user-level batches against one copy of the user per impression (MTFM 3.1).

The same impressions, model and weights: 32 impressions a user, history 512. Checked first: both
sides give the same logits. Measured: a whole training step, by turns; the median ratio counts.
"""

import statistics
import time

import models
from benchmarks.training.point_wise import check_equal_logits, impressions_of
from benchmarks.training.steps import Step, ratios, training_step
from models.batch import UserBatch
from tests.models.builder import LAYOUT, BatchBuilder, UserShape

USERS = 4
SHAPE = UserShape(history=512, recent=32, requests=(4,) * 8)
GOAL = 30.0


def main() -> None:
    by_user = BatchBuilder(0).batch([SHAPE] * USERS)
    by_impression = impressions_of(by_user)
    check_equal_logits("mtfm", by_user, by_impression)
    found = ratios(_step(by_user), _step(by_impression), time.perf_counter)
    print(f"{by_user.n_samples} impressions of {USERS} users, preset demo, ratios {found}")
    ratio = statistics.median(found)
    verdict = "ok" if ratio >= GOAL else "short"
    print(f"FIGURE mtfm_user_level_vs_impression {ratio:.1f} {GOAL:.0f} {verdict}")


def _step(batch: UserBatch) -> Step:
    return training_step(models.create("mtfm", LAYOUT, "demo"), batch)


if __name__ == "__main__":
    main()
