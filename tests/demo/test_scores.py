"""How the demo adds up what learners measured, by hand."""

from pathlib import Path

import pytest

from learner.journal import Entry, Journal
from millstream.demo.place import Place
from millstream.demo.scores import Scorer, interval, mean, scorers
from millstream.demo.world_report import edges_ms
from pipelines.simulate.world_file import load, scaled

DAY_MS = 86_400_000


def entry(window: int, **metrics: float) -> Entry:
    """The window that ends at `window + 1`; `a_auc` is the metric auc of scenario a."""
    named = {f"click/{name.replace('_', '/')}": value for name, value in metrics.items()}
    return Entry(window, window, window + 1, named)


ENTRIES = (
    entry(0, a_auc=0.6, a_samples=10, b_auc=0.9, b_samples=20, c_auc=0.1, c_samples=70),
    Entry(0, 0, 1, {"train/loss": 1.0}),
    entry(1, a_samples=10, b_auc=0.5, b_samples=5),
    entry(2, c_auc=0.2, c_samples=1),
    entry(3, a_auc=0.7, a_samples=1),
)
SCORER = Scorer("model", ENTRIES)


def test_scenarios_are_joined_by_their_samples_and_windows_stand_apart() -> None:
    """(10 · 0.6 + 20 · 0.9) / 30; in window 1 only b has the metric, in window 2 neither."""
    found = SCORER.scores("click", ["a", "b"], "auc", after_ms=0, until_ms=3)
    assert found == {0: (pytest.approx(0.8), 30), 1: (0.5, 5)}
    assert mean(found) == f"{(30 * 0.8 + 5 * 0.5) / 35:.4f}" == "0.7571"


def test_a_stretch_holds_the_windows_that_end_in_it() -> None:
    assert list(SCORER.scores("click", ["a", "b"], "auc", 1, 4)) == [1, 3]
    assert SCORER.newest_ms == 4


def test_nothing_is_said_of_no_window() -> None:
    none = SCORER.scores("conversion", ["a"], "auc", 0, 9)
    assert (none, mean(none), interval(none)) == ({}, "-", "no window")


def test_one_window_has_no_spread_and_two_have() -> None:
    assert interval({0: (0.6, 5)}) == "0.6000 [0.6000, 0.6000]"
    assert interval({0: (0.6, 5), 1: (0.8, 5)}) == "0.7000 [0.6000, 0.8000]"


def test_the_baseline_is_read_from_the_first_models_journal(tmp_path: Path) -> None:
    place = Place(tmp_path, tmp_path / "spec.toml")
    for model, value in (("mtfm", 0.75), ("dlrm_mlp", 0.5)):
        metrics = {"click/a/auc": value, "click/a/samples": 3}
        baseline = {f"baseline_item_ctr/{name}": one / 2 for name, one in metrics.items()}
        place.learner_state(model).mkdir()
        Journal(place.learner_state(model) / "metrics.jsonl").append(
            Entry(0, 0, 1, metrics | baseline)
        )
    found = {one.name: one.scores("click", ["a"], "auc", 0, 1) for one in scorers(place)}
    assert found == {
        "mtfm": {0: (0.75, 3)},
        "dlrm_mlp": {0: (0.5, 3)},
        "item CTR so far": {0: (0.375, 1.5)},
    }


@pytest.mark.parametrize(
    ("days", "ends"), [(1, [1]), (3, [1, 2, 3]), (7, [2, 4, 6, 7]), (10, [2, 4, 6, 8, 10])]
)
def test_a_world_is_told_in_at_most_five_stretches_of_whole_days(
    days: int, ends: list[int]
) -> None:
    world = scaled(load("tiny"), days=days)
    edges = edges_ms(world)
    assert [(edge - world.start_ms) / DAY_MS for edge in edges] == [0, *ends]
