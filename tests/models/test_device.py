"""A model whose weights have left the host: batches come on the host and nothing is asked back.

The weights are on torch's device "meta", where tensors have shapes and no values. So a number that
is read there, a length that depends on one, or a product of tensors on two devices is an error, as
waiting for a device or mixing it with the host would be a loss of time or an error elsewhere.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import models
from learner.step import task_weighted_loss
from models.base import RankingModel
from models.batch import UserBatch
from models.device import moved
from models.loss import weighted_bce
from models.mtfm.plan import plan_of
from models.optimisers import OptimiserConfig, Optimisers
from models.tables import tables_in
from tests.models.builder import LAYOUT, ODD_SHAPES, BatchBuilder, UserShape

META = torch.device("meta")
ATEN = torch.ops.aten
LITERAL = (ATEN.lift_fresh.default, ATEN.lift.default)
INDEXED = (ATEN.index.Tensor, ATEN.index_put.default, ATEN.index_put_.default)


def away(name: str) -> RankingModel:
    return models.create(name, LAYOUT, "tiny").to(META)


class Apart(TorchDispatchMode):
    """Within it an operation fails that torch lets pass on "meta" though a device would suffer.

    These are: tensors of two devices together, a mask as an index, whose length is to be counted,
    and a tensor made of Python's numbers on the device, which is copied there while all wait.
    """

    def __init__(self) -> None:
        super().__init__()
        self.on_meta = 0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        given = [one for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)]
        devices = {one.device.type for one in given}
        assert len(devices) < 2, f"{func} of tensors on {sorted(devices)}"
        if devices == {"meta"}:
            self.on_meta += 1
            assert func not in LITERAL, f"{func}: a tensor of numbers made on the device"
            indices = tree_leaves(args[1]) if func in INDEXED else []
            masks = [one for one in indices if isinstance(one, Tensor) and one.dtype == torch.bool]
            assert not masks, f"{func} by a mask"
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", models.names())
@pytest.mark.parametrize("shapes", [ODD_SHAPES, (UserShape(0, 0, (1,)),)], ids=["odd", "new user"])
def test_nothing_that_depends_on_values_is_asked_of_the_device(
    name: str, shapes: tuple[UserShape, ...]
) -> None:
    model, batch = away(name), BatchBuilder(0).batch(shapes)
    with Apart() as mode:
        logits = model(batch)
        task_weighted_loss(logits, batch, (1.0, 0.5)).backward()
    assert mode.on_meta > 100
    assert logits.device == META
    assert logits.shape == (batch.n_samples, len(LAYOUT.tasks))
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.shape == parameter.shape, key


@pytest.mark.parametrize("name", models.names())
def test_scoring_asks_nothing_of_the_device_either(name: str) -> None:
    model, batch = away(name).eval(), BatchBuilder(1).batch()
    with torch.no_grad(), Apart():
        assert model(batch).device == META


@pytest.mark.parametrize("kind", ["growing", "hashed"])
@pytest.mark.parametrize("sparse", ["adagrad", "adam"])
def test_an_update_asks_nothing_of_the_device_but_which_rows_are_the_same(
    kind: str, sparse: str
) -> None:
    """Adding up what the look-ups of one row say has to count rows: it is done here beforehand.

    Nor can fused Adam run on "meta"; it is one kernel for all of a model's weights.
    """
    model = models.create("dlrm_mlp", LAYOUT, "tiny", {"tables": {"kind": kind}}).to(META)
    config = OptimiserConfig(dense="rmsprop", sparse=sparse, clip_norm=1.0, dense_average=0.9)  # type: ignore[arg-type]
    optimisers, batch = Optimisers(model, config), BatchBuilder(0).batch()
    weighted_bce(model(batch), batch).backward()
    for table in tables_in(model).values():
        table.weight.grad = summed(table.weight)
    with Apart() as mode:
        assert optimisers.clip().device == META
        optimisers.step()
    assert mode.on_meta > 100


def summed(weight: Tensor) -> Tensor:
    """A gradient of three rows, each there once."""
    rows, values = torch.empty(1, 3, dtype=torch.int64), torch.empty(3, weight.shape[1])
    return torch.sparse_coo_tensor(
        rows.to(META), values.to(META), weight.shape, check_invariants=False, is_coalesced=True
    )


@pytest.mark.parametrize(
    "mistake",
    [
        lambda there, here: there.tolist(),
        lambda there, here: int(there.max()),
        lambda there, here: there.nonzero(),
        lambda there, here: there[there > 0],
        lambda there, here: there.masked_select(there > 0),
        lambda there, here: torch.unique(there),
        lambda there, here: torch.bincount(there),
        lambda there, here: torch.repeat_interleave(there, there),
        lambda there, here: there.cpu(),
        lambda there, here: there + here,
        lambda there, here: there.index_select(0, here),
        lambda there, here: there[here],
        lambda there, here: torch.nn.functional.embedding(here, there.float()[:, None]),
        lambda there, here: there.__setitem__(there > 0, there[:2]),
        lambda there, here: torch.tensor([1, 2], device=there.device) + there[:2],
    ],
)
def test_no_mistake_would_pass_unseen(mistake: Callable[[Tensor, Tensor], object]) -> None:
    """What the two tests above stand on: each of these makes them fail."""
    here = torch.tensor([1, 0, 2])
    there = here.to(META)
    refused = (AssertionError, RuntimeError, NotImplementedError)
    with Apart(), pytest.raises(refused):
        mistake(there, here)


@dataclass(frozen=True)
class Nested:
    tensor: Tensor
    many: list[Tensor]
    pair: tuple[Tensor, int]
    named: Mapping[str, Tensor]
    counts: list[int]
    word: str


def nested() -> Nested:
    one = torch.arange(3)
    return Nested(one, [one, one + 1], (one, 7), {"a": one.float()}, [1, 2], "as it is")


def test_everything_in_a_value_moves_and_what_is_no_tensor_stays() -> None:
    there = moved(nested(), META)
    tensors = [there.tensor, *there.many, there.pair[0], there.named["a"]]
    assert {one.device for one in tensors} == {META}
    assert [one.dtype for one in tensors] == 4 * [torch.int64] + [torch.float32]
    assert (there.pair[1], there.counts, there.word) == (7, [1, 2], "as it is")


def test_what_has_left_the_host_stays_where_it_is() -> None:
    there = torch.empty(3, device=META)
    assert moved({"there": there}, META)["there"] is there


def test_nothing_is_copied_to_the_host() -> None:
    value = nested()
    assert moved(value, torch.device("cpu")) is value


def test_a_batch_and_a_plan_keep_what_they_are() -> None:
    batch = BatchBuilder(0).batch()
    there = moved(batch, META)
    assert isinstance(there, UserBatch)
    assert there.sample_features["author"].values.shape == batch.item.shape
    plan = plan_of(batch, n_streams=2, n_scenarios=3)
    planned = moved(plan, META)
    assert planned.by_stream.counts == plan.by_stream.counts
    assert planned.history.shapes == plan.history.shapes
    assert {one.device for one in planned.recent_sees} == {META}
