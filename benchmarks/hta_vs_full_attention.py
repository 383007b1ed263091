"""MTFM's Hybrid Target Attention, 3:1, against full attention in every layer (MTFM 3.2.2).

Four layers either way: one full and three target layers, or four full ones; 8 users, each with a
history of 512, R of 32 and 32 targets. The figure is of preset `demo`; the paper's three heads at
an eighth of its width are printed beside it, and the work of both sides in FLOPs, which bounds what
can be had where products decide. Checked first: targets leave a target layer as they leave a full
one with the same weights. Measured: CPU time of a whole training step on one thread, by turns; the
median ratio counts.
"""

import statistics
from collections.abc import Mapping

import torch
from torch.utils.flop_counter import FlopCounterMode

import models
from benchmarks.training.steps import ratios, training_step
from models.base import RankingModel
from models.batch import UserBatch
from models.loss import weighted_bce
from models.mtfm import Mtfm
from models.mtfm.hybrid import FullLayer, TargetLayer
from models.mtfm.plan import plan_of
from tests.models.builder import LAYOUT, BatchBuilder, UserShape

USERS = 8
SHAPE = UserShape(history=512, recent=32, requests=(4,) * 8)
HYBRID, FULL = {"blocks": 1, "target_layers": 3}, {"blocks": 4, "target_layers": 0}
EIGHTH = {"d_model": 96, "heads": 3, "groups": 1}
GOAL = 3.0


def main() -> None:
    torch.set_num_threads(1)
    check_a_target_layer_is_a_full_one_for_targets()
    batch = BatchBuilder(0).batch([SHAPE] * USERS)
    measured(batch, "the paper's heads, 96 wide", EIGHTH)
    ratio = measured(batch, "preset demo", {})
    verdict = "ok" if ratio >= GOAL else "short"
    print(f"FIGURE hta_vs_full_attention {ratio:.2f} {GOAL:.0f} {verdict}")


def measured(batch: UserBatch, what: str, sizes: Mapping[str, object]) -> float:
    """How many times as long a step of full layers takes."""
    hybrid, full = (models.create("mtfm", LAYOUT, "demo", {**sizes, **s}) for s in (HYBRID, FULL))
    work = flops(full, batch) / flops(hybrid, batch)
    found = ratios(training_step(hybrid, batch), training_step(full, batch))
    print(f"{what}: {work:.2f} times the FLOPs; ratios {[round(one, 2) for one in found]}")
    return statistics.median(found)


@torch.no_grad()
def check_a_target_layer_is_a_full_one_for_targets() -> None:
    """Raises AssertionError unless targets leave both alike; a full layer moves H and R besides."""
    model = models.create("mtfm", LAYOUT, "demo", {"target_layers": 1})
    assert isinstance(model, Mtfm)
    target, full = model.layers[1], FullLayer(model.config, *model.sizes)
    assert isinstance(target, TargetLayer)
    full.norm_in.load_state_dict(target.norm_in.state_dict())
    full.norm_out.gain[2 * model.sizes[0] :] = target.norm_out.gain
    full.f1.weight.copy_(torch.cat((target.f_uq.weight, target.f_kv.weight)))
    full.f1.bias.copy_(torch.cat((target.f_uq.bias, target.f_kv.bias)))
    full.f2.load_state_dict(target.f2.state_dict())
    plan = plan_of(BatchBuilder(0).batch(), *model.sizes)
    x = torch.randn(sum(plan.sizes), model.width)
    torch.testing.assert_close(
        plan.split(target(x, plan))[2], plan.split(full(x, plan))[2], rtol=1e-4, atol=1e-4
    )
    print("targets leave both kinds of layers alike")


def flops(model: RankingModel, batch: UserBatch) -> int:
    """Of a forward and a backward pass."""
    with FlopCounterMode(display=False) as counter:
        weighted_bce(model(batch), batch).backward()
    return counter.get_total_flops()


if __name__ == "__main__":
    main()
