"""The champion in shadow: the same samples, paired, whatever spec it was made under."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from learner.baselines import ItemCtr
from learner.scorer import Scorer
from learner.scoring import Predict, Verdict, judge
from learner.shadow import Champion, Shadow
from models import create
from models.batch import UserBatch
from models.layout import FeatureField, Layout
from schemas.errors import UserError
from schemas.spec import parse
from tests.learner.world import SPEC_TEXT
from tests.models.builder import LAYOUT, BatchBuilder, UserShape, rows_of

SPEC = parse(SPEC_TEXT, "shop.toml")


def champion(layout: Layout, seed: int = 0, version: str = "1") -> Champion:
    """A version with a model of that layout."""
    model = create("dlrm_mlp", layout, "tiny", seed=seed).eval()
    return Champion(version, Scorer(SPEC, layout, model), LAYOUT)


def batches(n: int = 3) -> list[UserBatch]:
    return [BatchBuilder(seed).batch([UserShape(5, 3, (4, 5))] * 12) for seed in range(n)]


def judged(parts: list[UserBatch], predict: Predict, other: Champion | None = None) -> Verdict:
    return judge(parts, predict, ItemCtr.empty(len(LAYOUT.tasks)), LAYOUT, other)


def test_a_champion_equal_to_the_model_differs_by_nothing_and_is_sure_of_it() -> None:
    same = champion(LAYOUT)
    shadow = judged(batches(), same.predict, same).shadow
    assert shadow is not None
    for difference, width in shadow.differences().values():
        assert np.nanmax(np.abs(difference)) == 0
        assert np.nanmax(width) == 0


def test_differences_are_those_of_the_two_scorecards_of_the_same_samples() -> None:
    ours, theirs = champion(LAYOUT, seed=1), champion(LAYOUT, seed=2)
    parts = batches(4)
    shadow = judged(parts, ours.predict, theirs).shadow
    assert shadow is not None
    alone = [judged(parts, one.predict).model.results() for one in (ours, theirs)]
    difference, width = shadow.differences()["gauc"]
    np.testing.assert_allclose(difference, alone[0]["gauc"] - alone[1]["gauc"])
    assert (width[:, -1] > 0).all()
    assert (width[:, -1] < alone[0]["gauc_ci95"][:, -1] + alone[1]["gauc_ci95"][:, -1]).all()


def test_a_new_champion_starts_anew() -> None:
    model = champion(LAYOUT, seed=1)
    first = judged(batches(1), model.predict, champion(LAYOUT, 2, "1"))
    other = judged(batches(2)[1:], model.predict, champion(LAYOUT, 3, "2"))
    merged, again = first.merge(other).shadow, first.merge(first).shadow
    assert isinstance(merged, Shadow) and isinstance(again, Shadow)
    assert merged is other.shadow
    samples = [shadow.model.results()["samples"][0, -1] for shadow in (first.shadow, again)]  # type: ignore[union-attr]
    assert samples[1] == 2 * samples[0]


SMALLER = replace(
    LAYOUT,
    scenarios=("home", "shop"),
    tasks=("buy",),
    task_actions=(None,),
    actions=("like",),
    domains=("search",),
    request=LAYOUT.request[:1],
)
"""An older spec: it lacks the scenario `search`, the task and the action `click`, two features."""


def smaller(batch: UserBatch) -> UserBatch:
    """The batch of the requests of home and shop, as the older spec would have made it."""
    assert LAYOUT.scenarios == ("home", "search", "shop")
    return replace(
        batch,
        scenario=batch.scenario // 2,
        domain=torch.zeros_like(batch.domain),
        origin_domain=torch.zeros_like(batch.domain),
        history=_likes(batch.history),
        recent=_likes(batch.recent),
        labels=batch.labels[:, 1:],
        label_present=batch.label_present[:, 1:],
    )


def _likes(actions):  # type: ignore[no-untyped-def]
    keep = actions.action == 1
    owner = torch.repeat_interleave(torch.arange(len(actions.offsets) - 1), actions.offsets.diff())
    counts = torch.bincount(owner[keep], minlength=len(actions.offsets) - 1)
    scenario = actions.scenario[keep]
    return type(actions)(
        offsets=torch.cat((torch.zeros(1, dtype=torch.int64), counts.cumsum(0))),
        time_ms=actions.time_ms[keep],
        item=actions.item[keep],
        action=torch.zeros(int(keep.sum()), dtype=torch.int64),
        scenario=torch.where(scenario == 1, -1, scenario.clamp(max=1)),
        features=rows_of(actions.features, keep.nonzero().squeeze(1)),
    )


def test_a_champion_of_an_older_spec_scores_what_it_knows() -> None:
    batch = BatchBuilder(4).batch()
    scenario = torch.where(batch.scenario == 1, 2, batch.scenario)
    scenario[-1] = 1
    batch = replace(batch, scenario=scenario)
    old = champion(SMALLER)
    logits = old.predict(batch)
    known = scenario[batch.sample_request] != 1
    assert logits[:, LAYOUT.tasks.index("click")].isnan().all()
    assert logits[~known].isnan().all()
    buy = LAYOUT.tasks.index("buy")
    with torch.no_grad():
        expected = old.scorer.model(smaller(batch))[:, 0]
    torch.testing.assert_close(logits[known, buy], expected[known])


def test_a_champion_that_reads_what_windows_lack_is_refused_by_name() -> None:
    layout = replace(LAYOUT, request=(FeatureField("weather", "id", "weather", "context"),))
    with pytest.raises(UserError, match="version 1: expected features .* received .* 'weather'"):
        champion(layout)


def test_cells_that_one_of_the_two_cannot_score_count_for_neither() -> None:
    model, parts = champion(LAYOUT, seed=1), batches(1)

    def half(batch: UserBatch) -> Tensor:
        logits = model.predict(batch)
        logits[::2] = float("nan")
        return logits

    shadow = judged(parts, half, champion(SMALLER)).shadow
    assert shadow is not None
    ours, theirs = shadow.model.results()["samples"], shadow.champion.results()["samples"]
    np.testing.assert_array_equal(ours, theirs)
    home_or_shop = parts[0].scenario[parts[0].sample_request] != 1
    expected = (parts[0].label_present[1::2, 1] & home_or_shop[1::2]).sum()
    assert ours[1, -1] == int(expected)
    assert ours[0, -1] == 0
