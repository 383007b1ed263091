"""Pictures show what they are drawn of."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.image import imread

from learner.freshness import SINCE_END, SINCE_SEALED, Freshness
from learner.journal import Entry, Journal
from learner.pictures import draw_attention
from learner.plot import plot_freshness, plot_tables
from models import create
from models.base import HeatMap
from schemas.windows.names import BUILD
from tests.learner.runs import learn, shop
from tests.learner.world import write_window
from tests.models.builder import LAYOUT, ODD_SHAPES, BatchBuilder


def darkest(path: Path) -> tuple[float, float]:
    """Where the picture's darkest blue lies: its middle, from the top and from the left."""
    red, _, blue = np.moveaxis(imread(path)[:, :, :3], 2, 0)
    panel = slice(0, int(red.shape[1] * 0.85))  # without the bar that explains the colours
    rows, columns = np.nonzero(((red < 0.1) & (blue > 0.35))[:, panel])
    assert len(rows) > 100
    return float(rows.mean()), float(columns.mean())


def test_a_heat_map_is_dark_where_the_attention_is(tmp_path: Path) -> None:
    corners = []
    for row, column in ((0, 0), (0, 2), (1, 2)):
        shares = torch.zeros(2, 3)
        shares[row, column] = 1.0
        one = HeatMap("block 1: task tokens", ("click", "buy"), ("item", "user", "price"), shares)
        assert draw_attention([one], tmp_path / "attention.png")
        corners.append(darkest(tmp_path / "attention.png"))
    (top, left), (top_too, right), (bottom, right_too) = corners
    assert top == pytest.approx(top_too, abs=2) and top < bottom - 20
    assert right == pytest.approx(right_too, abs=2) and left < right - 20


def test_a_model_without_heat_maps_has_no_picture_of_them(tmp_path: Path) -> None:
    model = create("dlrm_mlp", LAYOUT, "tiny")
    assert model.heat_maps(BatchBuilder(0, LAYOUT).batch(ODD_SHAPES)) == ()
    assert not draw_attention((), tmp_path / "attention.png")
    assert not (tmp_path / "attention.png").exists()


def test_mdl_shows_which_features_its_scenarios_and_tasks_look_at() -> None:
    model = create("mdl", LAYOUT, "tiny").eval()
    batch = BatchBuilder(0, LAYOUT).batch(ODD_SHAPES)
    with torch.no_grad():
        maps = model.heat_maps(batch)
        found = model.attention(batch)
    assert [one.title for one in maps[:2]] == ["block 1: task tokens", "block 1: scenario tokens"]
    assert len(maps) == 2 * len(found) == 2 * len(model.blocks)
    assert maps[0].rows == LAYOUT.tasks
    assert maps[1].rows == (*LAYOUT.scenarios, "global")
    for one, shares in zip(maps, [s for f in found for s in (f.task, f.scenario)], strict=True):
        assert one.shares.shape == (len(one.rows), len(one.columns))
        torch.testing.assert_close(one.shares, shares, rtol=0, atol=0, equal_nan=True)
        sums = one.shares.sum(dim=1)
        torch.testing.assert_close(sums[sums.isfinite()], torch.ones(int(sums.isfinite().sum())))


def test_each_version_of_mdl_comes_with_its_attention(tmp_path: Path) -> None:
    settings = replace(shop(tmp_path, windows=2, users=12), model="mdl")
    learn(settings)
    [version] = sorted((settings.state / "versions").iterdir())
    height, width, _ = imread(version / "attention.png").shape
    assert height > 300 and width > 300


def test_delays_are_counted_from_the_windows_end_and_from_its_sealing(tmp_path: Path) -> None:
    manifest = write_window(tmp_path / "windows", 0)
    folder = next((tmp_path / "windows").glob("2*"))
    build = json.loads((folder / BUILD).read_text())
    sealed_ms = manifest.window_end_ms + 90_000
    (folder / BUILD).write_text(json.dumps(build | {"sealed_at_ms": sealed_ms}))
    journal = Journal(tmp_path / "freshness.jsonl")
    freshness = Freshness(journal, lambda _: folder, clock=lambda: sealed_ms / 1000 + 2.5)
    freshness.learned(7, manifest)
    [(entry, _)] = journal.since(0)
    assert entry.step == 7
    assert entry.metrics == {SINCE_END: 92.5, SINCE_SEALED: 2.5}


def test_a_window_that_nobody_says_when_it_was_sealed_has_a_freshness_all_the_same(
    tmp_path: Path,
) -> None:
    manifest = write_window(tmp_path / "windows", 0)
    journal = Journal(tmp_path / "freshness.jsonl")
    end_s = manifest.window_end_ms / 1000
    Freshness(journal, lambda _: tmp_path / "gone", clock=lambda: end_s + 60).learned(0, manifest)
    [(entry, _)] = journal.since(0)
    assert entry.metrics == {SINCE_END: 60.0}


def test_a_run_has_pictures_of_its_tables_and_of_its_freshness(tmp_path: Path) -> None:
    settings = shop(tmp_path, windows=3)
    learn(settings)
    metrics, fresh = (Journal(settings.state / f"{n}.jsonl") for n in ("metrics", "freshness"))
    assert plot_tables(metrics, tmp_path / "tables.png")
    assert plot_freshness(fresh, tmp_path / "freshness.png")
    for name in ("tables.png", "freshness.png"):
        picture = imread(tmp_path / name)[:, :, :3]
        assert (picture < 0.5).any(axis=2).mean() > 0.005  # lines and letters, not a blank sheet
    delays = [entry.metrics for entry, _ in fresh.since(0)]
    assert len(delays) == 3
    assert all(math.isfinite(d[SINCE_SEALED]) and d[SINCE_END] > 0 for d in delays)
    nothing = Journal(tmp_path / "none.jsonl")
    assert not plot_tables(nothing, tmp_path / "none.png")
    assert not plot_freshness(nothing, tmp_path / "none.png")


def test_a_window_learned_twice_is_drawn_as_it_was_learned_at_last(tmp_path: Path) -> None:
    twice, once = Journal(tmp_path / "twice.jsonl"), Journal(tmp_path / "once.jsonl")
    for step, delay in ((0, 1.0), (1, 10.0)):
        once.append(Entry(step, step * 1000, 1000 + step * 1000, {SINCE_END: delay}))
    for step, delay in ((0, 1.0), (1, 500.0), (1, 10.0)):
        twice.append(Entry(step, step * 1000, 1000 + step * 1000, {SINCE_END: delay}))
    for journal in (once, twice):
        assert plot_freshness(journal, journal.path.with_suffix(".png"))
    pictures = [imread(one.path.with_suffix(".png")) for one in (once, twice)]
    assert np.array_equal(*pictures)
