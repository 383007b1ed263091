"""When a version is due, on verdicts whose outcome is known, and in a learner."""

from dataclasses import replace
from pathlib import Path

import pytest

from learner.gate import GateConfig
from learner.interval import Interval
from learner.scoring import Verdict
from tests.learner.runs import learn, shop
from tests.learner.test_gate import knowing, verdict
from tests.models.builder import LAYOUT

GATE = GateConfig("click", min_samples=50)
NEVER = Interval(windows=100)


def is_over(interval: Interval, since: Verdict, windows: int = 1) -> bool:
    return interval.is_over(windows, since, LAYOUT, GATE)


def test_windows_are_counted_since_the_version_before() -> None:
    since = verdict(knowing(1.0))
    assert [is_over(Interval(windows=3), since, n) for n in (1, 2, 3, 4)] == [
        False,
        False,
        True,
        True,
    ]


def test_samples_are_the_labelled_ones_of_the_main_task() -> None:
    since = verdict(knowing(1.0))
    labelled = int(since.model.results()["samples"][0, -1])
    assert 0 < labelled < 720  # Of 60 users with 12 samples each, some have no label.
    assert is_over(replace(NEVER, samples=labelled), since)
    assert not is_over(replace(NEVER, samples=labelled + 1), since)


def test_better_than_the_champion_is_soon_enough_and_as_good_is_not() -> None:
    eager = replace(NEVER, when_better=True)
    assert is_over(eager, verdict(knowing(4.0), knowing(1.0)))
    assert not is_over(eager, verdict(knowing(2.0), knowing(2.0)))
    assert not is_over(NEVER, verdict(knowing(4.0), knowing(1.0)))


def test_without_a_champion_there_is_nothing_to_be_better_than() -> None:
    assert not is_over(replace(NEVER, when_better=True), verdict(knowing(4.0)))


@pytest.mark.parametrize(("samples", "versions"), [(1, 4), (10_000, 1)])
def test_a_learner_registers_after_so_many_samples_and_at_the_end(
    tmp_path: Path, samples: int, versions: int
) -> None:
    settings = replace(
        shop(tmp_path, windows=4), register_every_windows=100, register_every_samples=samples
    )
    learn(settings)
    assert len(list((settings.state / "versions").iterdir())) == versions
