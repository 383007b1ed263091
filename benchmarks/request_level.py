"""Every model on request-level batches against the same samples point-wise: 24 candidates each.

The point-wise form repeats request and user for each candidate. Checked first: both forms give
the same logits. Measured: CPU time of a whole training step of preset `demo` on one thread, by
turns; the median ratio counts.
"""

import statistics

import torch

import models
from benchmarks.training.point_wise import check_equal_logits, impressions_of
from benchmarks.training.steps import ratios, training_step
from tests.models.builder import LAYOUT, BatchBuilder, UserShape

SHAPE = UserShape(history=100, recent=10, requests=(24,))
REQUESTS = 16
GOAL = 2.0


def main() -> None:
    torch.set_num_threads(1)
    by_request = BatchBuilder(0).batch([SHAPE] * REQUESTS)
    by_candidate = impressions_of(by_request)
    for name in models.names():
        check_equal_logits(name, by_request, by_candidate)
        short, long = (
            training_step(models.create(name, LAYOUT, "demo"), batch)
            for batch in (by_request, by_candidate)
        )
        found = ratios(short, long)
        print(f"{name}: {REQUESTS} requests of 24, ratios {[round(one, 2) for one in found]}")
        ratio = statistics.median(found)
        verdict = "ok" if ratio >= GOAL else "short"
        print(f"FIGURE request_level_vs_point_wise_{name} {ratio:.1f} {GOAL:.0f} {verdict}")


if __name__ == "__main__":
    main()
