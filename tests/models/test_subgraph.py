"""One scenario's part of an MTFM: the whole model's scores from what that scenario needs."""

from dataclasses import replace

import pytest
import torch

import models
from models.base import ModelError
from models.batch import UserBatch
from models.mtfm import Mtfm
from schemas.errors import UserError
from tests.models.builder import LAYOUT, BatchBuilder

SIZES = {"blocks": 2, "target_layers": 2}


def whole() -> tuple[Mtfm, UserBatch]:
    """A model whose weights have left their initial values, and a batch whose ids it knows."""
    model, batch = models.create("mtfm", LAYOUT, "tiny", SIZES), BatchBuilder(4).batch()
    model(batch)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    assert isinstance(model, Mtfm)
    return model.eval(), batch


@pytest.mark.parametrize("name", LAYOUT.scenarios)
def test_the_part_scores_the_samples_of_its_scenario_as_the_whole_does(name: str) -> None:
    model, batch = whole()
    part = model.of_scenario(name)
    place = LAYOUT.scenarios.index(name)
    asked = replace(batch, scenario=torch.full_like(batch.scenario, place))
    with torch.no_grad():
        expected = model(asked)
        received = part(replace(batch, scenario=torch.zeros_like(batch.scenario)))
    torch.testing.assert_close(received, expected, rtol=0, atol=1e-6)


def test_the_part_holds_nothing_of_other_scenarios_and_shares_the_tables() -> None:
    model, _ = whole()
    part = model.of_scenario("search")
    place = LAYOUT.scenarios.index("search")
    mine, all_of_it = dict(part.named_parameters()), dict(model.named_parameters())
    assert mine.keys() == all_of_it.keys()
    assert torch.equal(mine["heads.towers.out"], all_of_it["heads.towers.out"][[place]])
    for name in ("tokenizer.scenarios.first.weight", "heads.gate.weight"):
        assert len(mine[name]) == 1, name
    # Streams of H and R, and the one scenario.
    assert len(mine["layers.0.norm_in.gain"]) == 2 * len(LAYOUT.actions) + 1
    assert part.tokenizer.samples is model.tokenizer.samples
    assert sum(p.numel() for p in mine.values()) < sum(p.numel() for p in all_of_it.values())


def test_a_part_takes_no_random_numbers() -> None:
    model, _ = whole()
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    model.of_scenario("home")
    assert torch.equal(torch.rand(1), expected)


def test_an_unknown_scenario_and_a_model_without_parts_are_readable_errors() -> None:
    model, _ = whole()
    with pytest.raises(UserError, match=r"expected one of home, search, shop, received 'serch'"):
        model.of_scenario("serch")
    with pytest.raises(ModelError, match=r"expected a model with parts .* received a DlrmMlp"):
        models.create("dlrm_mlp", LAYOUT, "tiny").of_scenario("home")
