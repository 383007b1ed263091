"""What a model says of itself, against numbers worked out by hand."""

import pytest

import models
from models.description import describe
from models.optimisers import OptimiserConfig, Optimisers
from models.tables import tables_in
from tests.models.builder import LAYOUT, BatchBuilder, UserShape


def test_dlrm_mlp_by_hand() -> None:
    # 3 request features, 2 of candidates and 4 more make F = 9 vectors of E = 8 and 36 pairs.
    # A sample: bmm 2 · 9 · 9 · 8 = 1,296; top 2 · (72 + 36) · 32 = 6,912; logits 2 · 32 · 2 = 128;
    # its number feature 2 · 3 · 8 = 48. Each request has 2 samples, so its number counts half.
    batch = BatchBuilder(0).batch([UserShape(3, 2, (2, 2))] * 5)
    found = describe(models.create("dlrm_mlp", LAYOUT, "tiny"), batch)
    flops = {name: part.flops for name, part in found.parts.items() if part.flops}
    assert flops == {"itself": 1296, "top": 6912, "logits": 128, "candidate": 48, "request": 24}
    assert found.parts["top"].parameters == (72 + 36) * 32 + 32
    assert found.parts["logits"].parameters == 32 * 2 + 2
    assert (found.users, found.impressions, found.tokens) == (5, 20, {})
    # Five tables of 1,024 rows and the two shared ones: 8 numbers and a sum.
    sizes = [(one.rows, one.width, one.row_bytes) for one in found.tables.values()]
    assert sizes == [(1026, 8, 36)] * 5


def test_mtfm_says_its_tokens() -> None:
    batch = BatchBuilder(0).batch([UserShape(3, 2, (2, 2)), UserShape(5, 0, (1,))])
    found = describe(models.create("mtfm", LAYOUT, "tiny"), batch)
    assert found.tokens == {"H": 8, "R": 2, "T": 5}


@pytest.mark.parametrize("name", models.names())
def test_parts_and_tables_hold_every_parameter_once(name: str) -> None:
    model = models.create(name, LAYOUT, "tiny")
    Optimisers(model, OptimiserConfig(sparse="adam"))
    found = describe(model, BatchBuilder(1).batch())
    rows = sum(table.weight.numel() for table in tables_in(model).values())
    assert found.parameters + rows == sum(one.numel() for one in model.parameters())
    # Adam keeps a mean gradient and a count of each row besides.
    assert all(t.row_bytes == 4 * (2 * t.width + 2) for t in found.tables.values())
    assert found.flops > 0
