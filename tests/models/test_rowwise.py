"""Row-wise optimisers and clipping, against numbers worked out by hand."""

import pytest
import torch

import models
from models.loss import weighted_bce
from models.optimisers import OptimiserConfig, Optimisers
from models.rowwise import Rowwise, RowwiseAdagrad, RowwiseAdam
from models.tables import GrowingTable, HashedTable
from tests.models.builder import LAYOUT, BatchBuilder


def step(optimiser: Rowwise, ids: list[int], gradients: list[list[float]]) -> None:
    """One step in which each look-up has a gradient of its own."""
    [table] = optimiser.tables
    optimiser.zero_grad()
    rows = table(torch.tensor(ids), torch.ones(len(ids), dtype=torch.bool))
    (rows * torch.tensor(gradients)).sum().backward()
    optimiser.step()


def table_of_ones() -> HashedTable:
    table = HashedTable(rows=3, dim=2, std=1.0)
    with torch.no_grad():
        table.weight.fill_(1.0)
    return table


def test_rowwise_adagrad_by_hand() -> None:
    # Row 1 is looked up twice, with gradients [1, 2] + [2, 2] = [3, 4]: mean square 12.5.
    # First step:  s = 12.5, w = 1 - 0.1 · g / √12.5.  Same again: s = 25, w -= 0.1 · g / 5.
    table = table_of_ones()
    adagrad = RowwiseAdagrad([table], rate=0.1, epsilon=0.0)
    first = [1 - 0.3 / 12.5**0.5, 1 - 0.4 / 12.5**0.5]
    for square_sum, row in [(12.5, first), (25.0, [first[0] - 0.06, first[1] - 0.08])]:
        step(adagrad, [0, 0], [[1.0, 2.0], [2.0, 2.0]])
        assert table.square_sum.tolist() == [0.0, square_sum, 0.0, 0.0]
        torch.testing.assert_close(table.weight[1].detach(), torch.tensor(row))
    assert table.weight[[0, 2, 3]].tolist() == [[1.0, 1.0]] * 3


def test_rowwise_adam_by_hand() -> None:
    # Every gradient has the mean square 12.5, so v / (1 - 0.999ⁿ) = 12.5 at each step.
    # g = [3, 4], n = 1 and 2: m / (1 - 0.9ⁿ) = [3, 4].
    # g = [0, 5], n = 3: m = 0.1 · (0.81 + 0.9) · [3, 4] + 0.1 · [0, 5] = [0.513, 1.184],
    # over 1 - 0.9³ = 0.271.
    table = table_of_ones()
    adam = RowwiseAdam([table], rate=0.1, epsilon=0.0)
    root = 12.5**0.5
    for _ in range(2):
        step(adam, [0, 0], [[1.0, 2.0], [2.0, 2.0]])
    twice = [1 - 0.6 / root, 1 - 0.8 / root]
    torch.testing.assert_close(table.weight[1].detach(), torch.tensor(twice))
    step(adam, [0], [[0.0, 5.0]])
    third = [twice[0] - 0.0513 / 0.271 / root, twice[1] - 0.1184 / 0.271 / root]
    torch.testing.assert_close(table.weight[1].detach(), torch.tensor(third))


def test_a_row_that_is_looked_up_late_counts_its_own_steps() -> None:
    # Its first step is rate · g / √mean(g²), as any row's: [3, 4] / √12.5.
    table = table_of_ones()
    adam = RowwiseAdam([table], rate=0.1, epsilon=0.0)
    for _ in range(5):
        step(adam, [0], [[3.0, 4.0]])
    step(adam, [1], [[3.0, 4.0]])
    first = torch.tensor([1 - 0.3 / 12.5**0.5, 1 - 0.4 / 12.5**0.5])
    torch.testing.assert_close(table.weight[2].detach(), first)
    assert table.by_row["updates"].tolist() == [0, 5, 1, 0]


def test_what_adam_knows_of_a_row_goes_with_its_id() -> None:
    table = GrowingTable(rows=1, dim=2, std=0.1)
    adam = RowwiseAdam([table], rate=0.1, epsilon=1e-8)
    step(adam, [5], [[3.0, 4.0]])
    assert table.by_row["gradient_mean"][2].tolist() == pytest.approx([0.3, 0.4])
    again = GrowingTable(rows=1, dim=2, std=0.1)
    RowwiseAdam([again], rate=0.1, epsilon=1e-8)
    again.restore([table.changes()])
    assert torch.equal(again.by_row["gradient_mean"], table.by_row["gradient_mean"])
    table.tick()
    table(torch.tensor([6]), torch.tensor([True]))
    assert table.by_row["gradient_mean"][2].tolist() == [0.0, 0.0]
    assert table.by_row["updates"][2] == table.square_sum[2] == 0


def test_table_without_a_lookup_stays() -> None:
    table = HashedTable(rows=2, dim=2, std=1.0)
    before = table.weight.clone()
    RowwiseAdagrad([table], rate=0.1, epsilon=0.0).step()
    assert torch.equal(table.weight, before)


def test_dense_gradients_above_the_norm_are_scaled_down_to_it_all_alike() -> None:
    model, batch = models.create("dlrm_mlp", LAYOUT, "tiny"), BatchBuilder(0).batch()
    (weighted_bce(model(batch), batch) * 100).backward()
    free, clipped = (Optimisers(model, OptimiserConfig(clip_norm=n)) for n in (0.0, 0.5))
    dense = [p.grad for p in free._parameters if p.grad is not None]
    rows = [p.grad.coalesce().values() for t in free.sparse.tables for p in t.parameters()]
    before = [one.clone() for one in dense]
    norm = sum(float(one.square().sum()) for one in before) ** 0.5
    whole = (norm**2 + sum(float(one.square().sum()) for one in rows)) ** 0.5
    assert norm > 0.5
    assert float(free.clip()) == pytest.approx(whole, rel=1e-5)
    assert all(torch.equal(one, was) for one, was in zip(dense, before, strict=True))
    assert float(clipped.clip()) == pytest.approx(whole, rel=1e-5)
    for one, was in zip(dense, before, strict=True):
        torch.testing.assert_close(one, was * (0.5 / norm))
    for table, was in zip(free.sparse.tables, rows, strict=True):
        assert torch.equal(table.weight.grad.values(), was)
