"""Growing a model: what the old layout has keeps its values and its meaning."""

import json
from collections.abc import Mapping
from dataclasses import asdict, replace

import pytest
import torch
from torch import Tensor

import models
from models.axes import Read
from models.base import RankingModel
from models.batch import UserBatch
from models.growth import check_grown, grown
from models.hhsft import Hhsft
from models.infnet.block import Tokens
from models.infnet.tokens import categorical_labels
from models.layers.cross_attention import cross_attention
from models.layout import FeatureField, Layout
from models.mdl import Mdl
from models.tables import tables_in
from schemas.errors import UserError
from tests.models.builder import LAYOUT, BatchBuilder

# New things come before, between and after the old ones.
GROWN = replace(
    LAYOUT,
    scenarios=("app", *LAYOUT.scenarios),
    tasks=("buy_later", *LAYOUT.tasks, "share"),
    actions=("click", "follow", "like"),
    task_actions=(None, *LAYOUT.task_actions, "follow"),
    request=(FeatureField("band", "id", "band", "user"), *LAYOUT.request),
    candidate=(*LAYOUT.candidate, FeatureField("size", "number", "", "item")),
    action=(LAYOUT.action[0], FeatureField("kind", "id", "kind", "item"), LAYOUT.action[1]),
)
SAME_ACTIONS = replace(GROWN, action=LAYOUT.action)
NO_TOKEN_MORE = replace(
    GROWN,
    tasks=LAYOUT.tasks,
    task_actions=LAYOUT.task_actions,
    request=LAYOUT.request,
    candidate=LAYOUT.candidate,
)
"""No feature and no task more: in an INFNet each would be a token that hubs look at."""
NO_QUERY = replace(LAYOUT, request=LAYOUT.request[:2])


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


def test_what_an_old_output_takes_of_a_new_input_begins_as_zero_by_hand() -> None:
    old = torch.tensor([[1.0, 2.0]])
    fresh = torch.tensor([[9.0, 8.0, 7.0], [6.0, 5.0, 4.0]])
    labels = ((["new", "old"], ["old"]), (Read(["b", "c", "a"]), Read(["a", "b"])))
    mixed = grown(fresh, old, labels)
    assert mixed is not None
    assert mixed.tolist() == [[9, 8, 7], [2, 0, 1]]


def test_a_parameter_without_a_place_in_common_is_new() -> None:
    assert grown(torch.zeros(2), torch.ones(2), ((["a", "b"], ["c", "d"]),)) is None


@pytest.mark.parametrize("name", models.names())
def test_all_that_a_layout_shapes_says_what_its_axes_stand_for(name: str) -> None:
    old, new = models.create(name, LAYOUT, "tiny"), models.create(name, GROWN, "tiny")
    assert new.axes(LAYOUT) == old.axes(LAYOUT)
    shapes, before = (
        {key: parameter.shape for key, parameter in model.named_parameters()}
        for model in (new, old)
    )
    axes = new.axes(GROWN)
    for key, labels in axes.items():
        for size, places in zip(shapes[key], labels, strict=True):
            assert places is None or len(places) == len(set(places)) == size, key
    changed = {key for key in before if shapes[key] != before[key]}
    assert changed
    assert changed <= set(axes)


@pytest.mark.parametrize(
    ("name", "layout"),
    [
        ("dlrm_mlp", GROWN),
        ("hhsft", GROWN),
        ("infnet", NO_TOKEN_MORE),
        ("mdl", GROWN),
        ("mtfm", GROWN),
    ],
)
def test_a_grown_model_whose_new_parts_are_zero_scores_as_the_old_one(
    name: str, layout: Layout
) -> None:
    """So every old weight stands where it means the same, and nothing else got in its place."""
    pair = Pair(name, LAYOUT, layout)
    pair.forget()
    pair.grow()
    pair.check_same_scores()


@pytest.mark.parametrize(
    ("name", "layout"),
    [
        ("dlrm_mlp", SAME_ACTIONS),
        ("hhsft", GROWN),
        ("infnet", replace(NO_TOKEN_MORE, action=LAYOUT.action)),
        ("mdl", SAME_ACTIONS),
        ("mtfm", GROWN),
    ],
)
def test_a_grown_model_scores_as_the_old_one_whatever_its_new_parts_begin_as(
    name: str, layout: Layout
) -> None:
    """New features have values here; three models sum an action's features, and would show it."""
    pair = Pair(name, LAYOUT, layout)
    pair.grow()
    pair.check_same_scores()


def test_new_tokens_move_an_infnet_only_by_being_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = Pair("infnet", LAYOUT, SAME_ACTIONS)
    pair.grow()
    with pytest.raises(AssertionError, match="Tensor-likes are not close"):
        pair.check_same_scores()

    before, after = categorical_labels(LAYOUT), categorical_labels(SAME_ACTIONS)
    new = {
        len(after): [at for at, one in enumerate(after) if one not in before],
        len(SAME_ACTIONS.tasks): [0, 3],
    }
    assert new[len(after)] == [1, 7]
    scores = Tokens.scores

    def of_old_tokens(tokens: Tokens, q_qmHd: Tensor) -> Tensor:
        found = scores(tokens, q_qmHd)
        if tokens.lengths is None and found.shape[3] in new:
            found[..., new[found.shape[3]]] = -torch.inf
        return found

    monkeypatch.setattr(Tokens, "scores", of_old_tokens)
    pair.check_same_scores()


def test_a_new_domain_takes_a_share_of_what_a_sample_asks_in_an_hhsft() -> None:
    """Its expert gives 0 here: (6) then shrinks what the others give, alike for all tasks."""
    pair = Pair("hhsft", LAYOUT, replace(LAYOUT, domains=("ads", *LAYOUT.domains)))
    pair.forget()
    pair.grow()
    before, after = pair.scores()
    assert isinstance(pair.old, Hhsft)
    domain = pair.small.origin_domain[pair.small.sample_request]
    bias_NK = pair.old.heads.out_bias.detach()[domain, :, 0]
    share_NK = (after - bias_NK) / (before - bias_NK)
    torch.testing.assert_close(share_NK[:, 0], share_NK[:, 1], rtol=0, atol=1e-3)
    assert ((share_NK > 0.2) & (share_NK < 0.9)).all()


def test_a_new_block_moves_an_hhsft_only_by_being_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pair = Pair("hhsft", NO_QUERY, LAYOUT)
    pair.grow()
    with pytest.raises(AssertionError, match="Tensor-likes are not close"):
        pair.check_same_scores()

    def of_old_tokens(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
        if k.shape[1] == 7:  # user, context, query, history, recent, item, cross
            k, v = (torch.cat((x[:, :2], x[:, 3:]), dim=1) for x in (k, v))
        return cross_attention(q, k, v, heads)

    monkeypatch.setattr("models.hhsft.interaction.cross_attention", of_old_tokens)
    pair.check_same_scores()


@pytest.mark.parametrize(("d_model", "same_width"), [(84, True), (16, False)])
def test_a_new_feature_token_of_an_mdl_begins_all_behind_the_mixing_anew(
    d_model: int, same_width: bool
) -> None:
    pair = Pair("mdl", NO_QUERY, LAYOUT, {"d_model": d_model})
    assert isinstance(pair.old, Mdl)
    assert isinstance(pair.new, Mdl)
    assert (pair.old.width == pair.new.width) == same_width
    taken = pair.grow()
    for name in ("feature_ffn.first.weight", "task_attention.key_value.weight"):
        assert f"blocks.0.{name}" not in taken
    assert ("blocks.0.task_ffn.first.weight" in taken) == same_width
    assert ("features.projections.group_item.weight" in taken) == same_width
    for name in ("features.history.query.weight", "prompts.tasks.of_request.weight"):
        assert name in taken


class Pair:
    """A model of one layout and one of a grown layout, and a batch as each of them knows it.

    Nothing new happens in the batch, but its new features have values.
    """

    def __init__(
        self,
        name: str,
        before: Layout,
        layout: Layout,
        overrides: Mapping[str, object] | None = None,
    ) -> None:
        self.before, self.layout = before, layout
        self.old = models.create(name, before, "tiny", overrides)
        self.new = models.create(name, layout, "tiny", overrides, seed=1)
        fields = {field: getattr(layout, field) for field in ("request", "candidate", "action")}
        self.small = BatchBuilder(3, replace(before, **fields)).batch()
        self.large = renumbered(self.small, before, layout)
        self.old(self.small)  # so that ids have rows
        shake(self.old)

    @torch.no_grad()
    def forget(self) -> None:
        """Let all that is not taken over be zero."""
        for parameter in self.new.parameters():
            parameter.zero_()

    @torch.no_grad()
    def grow(self) -> set[str]:
        """Take over all that is old; the names of what was."""
        axes, before = self.new.axes(self.layout), self.new.axes(self.before)
        weights, taken = dict(self.old.named_parameters()), set()
        tables, old_tables = tables_in(self.new), tables_in(self.old)
        in_tables = tuple(f"{name}." for name in tables)
        for name, parameter in self.new.named_parameters():
            if name in weights and not name.startswith(in_tables):
                labels = tuple(zip(axes.get(name, ()), before.get(name, ()), strict=True))
                values = grown(parameter, weights[name], labels)
                if values is not None:
                    parameter.copy_(values)
                    taken.add(name)
        for name, table in tables.items():
            if name in old_tables:
                table.restore([old_tables[name].live()])
        return taken

    @torch.no_grad()
    def scores(self) -> tuple[Tensor, Tensor]:
        """The old tasks' logits by the old model and by the grown one."""
        tasks = [self.layout.tasks.index(task) for task in self.before.tasks]
        return self.old.eval()(self.small), self.new.eval()(self.large)[:, tasks]

    def check_same_scores(self) -> None:
        """Raises AssertionError unless both score alike."""
        expected, received = self.scores()
        torch.testing.assert_close(received, expected, rtol=0, atol=1e-5)


def renumbered(batch: UserBatch, before: Layout, layout: Layout) -> UserBatch:
    """The batch with scenarios, domains and streams numbered as in another layout."""
    scenario, domain, action = (
        torch.tensor([*map(getattr(layout, field).index, getattr(before, field)), -1])
        for field in ("scenarios", "domains", "actions")
    )
    history, recent = (
        replace(one, action=action[one.action], scenario=scenario[one.scenario])
        for one in (batch.history, batch.recent)
    )
    return replace(
        batch,
        scenario=scenario[batch.scenario],
        domain=domain[batch.domain],
        origin_domain=domain[batch.origin_domain],
        history=history,
        recent=recent,
    )


def shake(model: RankingModel) -> None:
    """Move all weights off their initial values, so that a mix-up shows."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)


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
