"""A new state that begins with another one's weights."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import models
from learner.lineage import initial_lineage, next_lineage
from learner.settings import LearnerSettings
from learner.warm_start import WarmStart
from schemas.errors import UserError
from schemas.windows.store import WindowStore
from tests.learner.runs import SMALL, assert_same_tensors, learn, newest, restored, shop
from tests.learner.world import SPEC_TEXT, write_window

GROWN_TEXT = (
    SPEC_TEXT.replace('scenarios = ["search"]', 'scenarios = ["lens", "search"]')
    .replace("[features]", 'again = { stream = "click", horizon = "1h" }\n[features]')
    .replace("price = {", 'maker = { owner = "item", type = "id" }\nprice = {')
)


def two_windows(folder: Path, model: str) -> LearnerSettings:
    """A state that has learned two windows, with two more to come."""
    settings = replace(shop(folder, windows=2), model=model)
    learn(settings)
    for index in (2, 3):
        write_window(settings.windows, index)
    return settings


def empty(folder: Path) -> Path:
    folder.mkdir()
    return folder


def begun_from(settings: LearnerSettings, folder: Path, **changes: object) -> LearnerSettings:
    from_checkpoint = changes.pop("from_checkpoint", settings.state)
    return replace(settings, state=folder, from_checkpoint=from_checkpoint, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("model", ["dlrm_mlp", "mtfm"])
def test_under_the_same_spec_it_goes_on_exactly(tmp_path: Path, model: str) -> None:
    settings = two_windows(tmp_path, model)
    other = begun_from(settings, tmp_path / "other")
    summary = learn(other)
    assert summary.windows == 2
    learn(settings)
    ours, theirs = restored(other), restored(settings)
    assert_same_tensors(ours.model.state_dict(), theirs.model.state_dict())
    assert ours.progress == theirs.progress


@pytest.mark.parametrize("model", models.names())
def test_under_a_grown_spec_the_old_stays_and_the_new_begins(tmp_path: Path, model: str) -> None:
    settings = two_windows(tmp_path, model)
    before = restored(settings)
    spec = tmp_path / "grown.toml"
    spec.write_text(GROWN_TEXT + SMALL)
    other = begun_from(settings, tmp_path / "other", spec=spec)
    untrained = learn(replace(other, windows=empty(tmp_path / "none")))
    began = untrained.warm_start
    assert isinstance(began, WarmStart)
    assert began.lineage == before.progress.lineage
    after = restored(other)
    for name in before.tables:
        assert name in began.kept
        mine, theirs = before.tables[name].state_dict(), after.tables[name].state_dict()
        assert_same_tensors(mine, theirs)
    assert any(name.endswith("table_maker") for name in began.new)
    assert began.grown
    assert not set(began.new) & set(before.dense_names)
    assert after.layout.tasks == ("again", "buy", "click")
    assert torch.equal(
        torch.from_numpy(after.items.impressions[:, 1:]),
        torch.from_numpy(before.items.impressions),
    )
    steps = {s["step"].item() for s in after.optimisers.dense.state_dict()["state"].values()}
    assert steps == {
        s["step"].item() for s in before.optimisers.dense.state_dict()["state"].values()
    }


def test_a_grown_state_learns_what_comes_next_under_a_lineage_of_its_own(tmp_path: Path) -> None:
    settings = two_windows(tmp_path, "dlrm_mlp")
    source = newest(settings).state["progress"]["lineage"]
    spec = tmp_path / "grown.toml"
    spec.write_text(GROWN_TEXT + SMALL)
    other = begun_from(settings, tmp_path / "other", spec=spec)
    summary = learn(other)
    assert summary.windows == 2
    lineage = initial_lineage(newest(other).state["identity"] | {"grown_from": source})
    for manifest in WindowStore(settings.windows).windows()[2:]:
        lineage = next_lineage(lineage, manifest.digest)
    assert summary.lineage_id == lineage
    # A second start of the same command goes on from its own state.
    assert learn(other).warm_start is None


def test_what_cannot_be_grown_is_refused_with_the_reason(tmp_path: Path) -> None:
    settings = two_windows(tmp_path, "dlrm_mlp")
    spec = tmp_path / "cut.toml"
    spec.write_text(SPEC_TEXT.replace('segment = { owner = "user", type = "id" }\n', "") + SMALL)
    with pytest.raises(UserError, match="request: expected all that the old spec has.*segment"):
        learn(begun_from(settings, tmp_path / "a", spec=spec))
    with pytest.raises(UserError, match=r"expected weights of model = 'mtfm'"):
        learn(begun_from(settings, tmp_path / "b", model="mtfm"))
    with pytest.raises(UserError, match="expected a whole checkpoint, or a state folder"):
        learn(begun_from(settings, tmp_path / "c", from_checkpoint=tmp_path / "nowhere"))
