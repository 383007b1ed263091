"""Growing a model: what the old layout has keeps its values and its meaning."""

import json
from dataclasses import asdict, replace

import pytest
import torch
from torch import Tensor

import models
from models.base import RankingModel
from models.growth import check_grown, grown
from models.layout import FeatureField, Layout
from models.tables import tables_in
from schemas.errors import UserError
from tests.models.builder import LAYOUT, BatchBuilder

# New things come before, between and after the old ones.
GROWN = replace(
    LAYOUT,
    scenarios=("app", *LAYOUT.scenarios),
    tasks=("buy_later", *LAYOUT.tasks, "share"),
    actions=("click", "follow", "like"),
    request=(FeatureField("band", "id", "band", "user"), *LAYOUT.request),
    candidate=(*LAYOUT.candidate, FeatureField("size", "number", "", "item")),
    action=(LAYOUT.action[0], FeatureField("kind", "id", "kind", "item"), LAYOUT.action[1]),
)


def test_places_move_by_their_labels_by_hand() -> None:
    old = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    fresh = torch.tensor([[9.0, 8.0, 7.0], [6.0, 5.0, 4.0]])
    labels = ((None, None), (["c", "b", "a"], ["a", "b"]))
    mixed = grown(fresh, old, labels)
    assert mixed is not None
    assert mixed.tolist() == [[9, 2, 1], [6, 4, 3]]
    assert grown(torch.zeros(3, 2), old, ()) is None
    assert grown(torch.zeros(3, 3), old, labels) is None
    same = grown(torch.zeros(2, 2), old, ())
    assert same is not None
    assert torch.equal(same, old)


TELLING = [name for name in models.names() if models.create(name, LAYOUT, "tiny").axes(LAYOUT)]
"""Models that say what their axes stand for."""


@pytest.mark.parametrize("name", TELLING)
def test_a_grown_model_whose_new_parts_are_zero_scores_as_the_old_one(name: str) -> None:
    """So every old weight stands where it means the same, and nothing else got in its place."""
    old, new = models.create(name, LAYOUT, "tiny"), models.create(name, GROWN, "tiny")
    batch = BatchBuilder(3, GROWN).batch()
    scenario = batch.scenario.clamp(min=1)  # of the old ones
    action = {0: 0, 1: 2}
    history, recent = (
        replace(one, action=one.action.clamp(max=1)) for one in (batch.history, batch.recent)
    )
    small = replace(batch, scenario=scenario - 1, history=history, recent=recent)
    large = replace(
        batch,
        scenario=scenario,
        history=replace(history, action=renamed(history.action, action)),
        recent=replace(recent, action=renamed(recent.action, action)),
    )
    old(small)  # so that ids have rows
    shake(old)
    grow_from(old, new)
    with torch.no_grad():
        expected, received = old.eval()(small), new.eval()(large)
    torch.testing.assert_close(received[:, 1:3], expected, rtol=0, atol=1e-5)


def renamed(values: Tensor, names: dict[int, int]) -> Tensor:
    return torch.tensor([names[value] for value in values.tolist()], dtype=torch.int64)


def shake(model: RankingModel) -> None:
    """Move all weights off their initial values, so that a mix-up shows."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)


@torch.no_grad()
def grow_from(old: RankingModel, new: RankingModel) -> None:
    """All that is new is zero, all that is old is taken over."""
    axes, before = new.axes(GROWN), new.axes(LAYOUT)
    assert before == old.axes(LAYOUT)
    weights = dict(old.named_parameters())
    in_tables = tuple(f"{name}." for name in tables_in(new))
    for name, parameter in new.named_parameters():
        parameter.zero_()
        if name in weights and not name.startswith(in_tables):
            labels = tuple(zip(axes.get(name, ()), before.get(name, ()), strict=True))
            taken = grown(parameter, weights[name], labels)
            assert taken is not None, name
            parameter.copy_(taken)
    tables = tables_in(old)
    for name, table in tables_in(new).items():
        if name in tables:
            table.restore([tables[name].live()])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scenarios": ("home", "search")}, "scenarios: expected all that the old spec has"),
        ({"tasks": ("buy", "click")}, "tasks: expected .* in its order"),
        ({"request": LAYOUT.request[1:]}, "request: .*city: id of city"),
    ],
)
def test_a_model_can_be_grown_and_not_cut(change: dict[str, object], message: str) -> None:
    check_grown(LAYOUT, GROWN)
    with pytest.raises(UserError, match=message):
        check_grown(LAYOUT, replace(LAYOUT, **change))


def test_a_layout_comes_back_from_json() -> None:
    assert Layout.from_json(json.loads(json.dumps(asdict(GROWN)))) == GROWN
