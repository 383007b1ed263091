"""Tables, optimisers, loss and registry, against numbers worked out by hand."""

from dataclasses import replace

import pytest
import torch
from torch import nn

import models
from models.averaging import RunningMean
from models.loss import weighted_bce
from models.optimisers import OptimiserConfig, Optimisers, split_parameters
from models.tables import (
    ITEM,
    EmbeddingTable,
    GrowingTable,
    HashedTable,
    TableConfig,
    tables_for,
)
from models.tables.hashed import unsigned_remainder
from schemas.errors import UserError
from tests.models.builder import LAYOUT, BatchBuilder, UserShape


def present(*flags: bool) -> torch.Tensor:
    return torch.tensor(flags)


def test_hashes_are_read_as_unsigned() -> None:
    ids = [0, 5, -1, -(2**63), 2**63 - 1]
    for divisor in (7, 1000, 2**20):
        rows = unsigned_remainder(torch.tensor(ids), divisor)
        assert rows.tolist() == [(one % 2**64) % divisor for one in ids]


def test_absent_values_share_row_0_whatever_their_id() -> None:
    table = HashedTable(rows=4, dim=2, std=1.0)
    rows = table(torch.tensor([3, 99, 7]), present(False, False, True))
    assert torch.equal(rows, table.weight[[0, 0, 4]])


def test_table_knows_its_memory() -> None:
    # (3 + 1) rows of 2 floats and their sums.
    assert HashedTable(rows=3, dim=2, std=1.0).memory_bytes == 4 * (4 * 2 + 4)


@pytest.mark.parametrize("kind", ["growing", "hashed"])
def test_rows_start_as_spread_as_the_configuration_says(kind: str) -> None:
    # 1,000 rows of 8 numbers: the estimate is within 5% by more than six of its standard errors.
    tables = tables_for(LAYOUT, TableConfig(rows=1000, std=0.25, kind=kind), dim=8)
    rows = tables[ITEM](torch.arange(1000), torch.ones(1000, dtype=torch.bool))
    assert rows.std().item() == pytest.approx(0.25, rel=0.05)
    assert rows.mean().item() == pytest.approx(0, abs=0.0125)


def test_parameters_are_split_without_rest_or_overlap() -> None:
    model = models.create("mtfm", LAYOUT, "tiny")
    split = split_parameters(model)
    in_tables = [p for table in split.tables for p in table.parameters()]
    assert all(isinstance(table, EmbeddingTable) for table in split.tables)
    # Samples: author, city, item, type; actions: author, item, tags.
    assert len(split.tables) == 7
    assert {id(p) for p in (*in_tables, *split.dense)} == {id(p) for p in model.parameters()}
    assert len(in_tables) + len(split.dense) == len(list(model.parameters()))


@pytest.mark.parametrize("sparse", ["adagrad", "adam"])
def test_step_moves_tables_and_dense_parameters(sparse: str) -> None:
    model, batch = models.create("dlrm_mlp", LAYOUT, "tiny"), BatchBuilder(0).batch()
    before = {key: p.detach().clone() for key, p in model.named_parameters()}
    optimisers = Optimisers(model, OptimiserConfig(dense="rmsprop", sparse=sparse))
    weighted_bce(model(batch), batch).backward()
    optimisers.step()
    assert not [k for k, p in model.named_parameters() if torch.equal(p, before[k])]
    optimisers.zero_grad()
    assert all(p.grad is None for p in model.parameters())


def test_dense_rate_holds_and_then_falls_with_the_root_of_the_step() -> None:
    # Held for 4 steps; then 0.5 · √(4 / t): at step 16 a quarter, at step 64 an eighth.
    model, batch = models.create("dlrm_mlp", LAYOUT, "tiny"), BatchBuilder(0).batch()
    weighted_bce(model(batch), batch).backward()
    config = OptimiserConfig(dense_rate=0.5, dense_hold=4)
    optimisers, rates = Optimisers(model, config), []
    for _ in range(16):
        optimisers.step()
        rates.append(optimisers.dense.param_groups[0]["lr"])
    assert rates[:4] == [0.5] * 4
    assert rates[15] == 0.25
    resumed = Optimisers(model, config)
    resumed.load_state_dict(optimisers.state_dict())
    for _ in range(48):
        resumed.step()
    assert resumed.dense.param_groups[0]["lr"] == 0.125


def test_running_mean_by_hand() -> None:
    # k_1 = 2/11 leaves 9/11 · 1; k_2 = 3/12 leaves 1/4 · 9/11 + 3/4 · 2; k_3 would be 4/13, but
    # no more than 0.25 is kept.
    weight = nn.Parameter(torch.zeros(1))
    average = RunningMean([weight], keep=0.25)
    seen = []
    for value in (1.0, 2.0, 5.0):
        with torch.no_grad():
            weight.fill_(value)
        average.update()
        with average.in_place():
            seen.append(weight.item())
        assert weight.item() == value
    second = 0.25 * 9 / 11 + 1.5
    assert seen == pytest.approx([9 / 11, second, 0.25 * second + 0.75 * 5])


def test_without_an_average_the_weights_themselves_score() -> None:
    weight = nn.Parameter(torch.ones(1))
    average = RunningMean([weight], keep=0.0)
    average.update()
    with average.in_place():
        assert weight.item() == 1
    assert average.state_dict()["means"] == []


def test_without_a_hold_the_dense_rate_stays() -> None:
    model, batch = models.create("dlrm_mlp", LAYOUT, "tiny"), BatchBuilder(0).batch()
    weighted_bce(model(batch), batch).backward()
    optimisers = Optimisers(model, OptimiserConfig(dense_rate=0.5))
    for _ in range(9):
        optimisers.step()
    assert optimisers.dense.param_groups[0]["lr"] == 0.5


def test_loss_is_the_mean_over_present_labels() -> None:
    # Present: logit 0, label 1 → log 2; logit log 3, label 0 → log 4; a value of 2.5 is positive.
    batch = BatchBuilder(0).batch([UserShape(0, 0, (2,))])
    batch = replace(
        batch,
        labels=torch.tensor([[2.5, 1.0], [0.0, 0.0]]),
        label_present=torch.tensor([[True, False], [True, False]]),
    )
    logits = torch.tensor([[0.0, 9.0], [1.0986122886681098, 9.0]])
    expected = torch.tensor((2.0 * 4.0) ** 0.5).log()
    torch.testing.assert_close(weighted_bce(logits, batch), expected)


def test_loss_without_labels_is_zero() -> None:
    batch = BatchBuilder(0).batch([UserShape(0, 0, (1,))])
    batch = replace(batch, label_present=torch.zeros_like(batch.label_present))
    assert weighted_bce(torch.ones(1, 2), batch) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("mtfn",), "models: expected the name of a model, received 'mtfn' (did you mean 'mtfm'?)"),
        (("mtfm", "dmo"), "models.mtfm: expected the name of a preset, received 'dmo'"),
        (("mtfm", "tiny", {"d_modle": 8}), "received 'd_modle' (did you mean 'd_model'?)"),
        (("mtfm", "tiny", {"heads": "2"}), "models.mtfm.heads: expected a value like 2"),
        (("mtfm", "tiny", {"heads": True}), "received True"),
        (("mtfm", "tiny", {"tables": 3}), "models.mtfm.tables: expected a value like TableConfig("),
        (
            ("mtfm", "tiny", {"tables": {"row": 3}}),
            "models.mtfm.tables: expected a configuration key, received 'row' (did you mean 'rows'",
        ),
        (("mtfm", "tiny", {"tables": {"rows": 0}}), "tables.rows: expected a number of 1 or more"),
        (("mtfm", "tiny", {"tables": {"kind": "hash"}}), "(did you mean 'hashed'?)"),
        (
            ("mtfm", "tiny", {"tables": {"kind": "hashed", "expire_after": 5}}),
            "tables.expire_after: expected kind = 'growing'",
        ),
    ],
)
def test_wrong_names_and_values_are_readable_errors(arguments, message: str) -> None:
    name, *rest = arguments
    with pytest.raises(UserError) as error:
        models.create(name, LAYOUT, *rest)
    assert message in str(error.value)


def test_lists_of_a_spec_stand_for_tuples() -> None:
    model = models.create("dlrm_mlp", LAYOUT, "tiny", {"hidden": [7, 5]})
    assert model.logits.in_features == 5


def test_a_part_of_a_table_of_overrides_leaves_the_rest_of_it() -> None:
    overrides = {"tables": {"rows": 7, "admit_after": 2, "expire_after": 9}}
    table = models.create("dlrm_mlp", LAYOUT, "tiny", overrides).tables[ITEM]
    assert isinstance(table, GrowingTable)
    assert (table.rows, table.std, table.admit_after) == (7, 0.025, 2)
    assert table.slots.expire_after == 9
    models.create("dlrm_mlp", LAYOUT, "tiny", {"tables": {"kind": "hashed"}})


def test_features_that_name_one_table_share_its_rows() -> None:
    # LAYOUT: the candidates' author and the actions' author name the table `author`.
    model = models.create("dlrm_mlp", LAYOUT, "tiny")
    model(BatchBuilder(0).batch())
    names = {key.split(".")[1] for key, _ in model.tables.named_parameters()}
    assert names == {"table_author", "table_city", "table_item", "table_tags", "table_type"}


def test_a_name_is_registered_once() -> None:
    with pytest.raises(UserError, match="expected a new name, received 'mtfm'"):
        models.register("mtfm", type(models.create("mtfm", LAYOUT, "tiny")))
