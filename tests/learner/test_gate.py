"""The gate, rule by rule, on verdicts whose outcome is known."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from learner.baselines import ItemCtr
from learner.gate import Decision, GateConfig, decide, gate_config
from learner.scorer import Scorer
from learner.scoring import Verdict, judge
from learner.shadow import Champion
from models.batch import UserBatch
from models.layout import Layout
from schemas.errors import SpecError
from schemas.spec import parse
from tests.learner.world import SPEC_TEXT
from tests.models.builder import LAYOUT, BatchBuilder, UserShape

CONFIG = GateConfig("click", min_samples=50)
Answer = Callable[[UserBatch], Tensor]


class Oracle:
    """A stand-in for a model: it answers from the labels, as well as it is told to."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer

    def __call__(self, batch: UserBatch) -> Tensor:
        return self.answer(batch)


def knowing(strength: float, shift: float = 0.0) -> Answer:
    """Logits that follow the label by `strength`, beside noise of 1."""

    def answer(batch: UserBatch) -> Tensor:
        noise = torch.randn(batch.labels.shape, generator=torch.Generator().manual_seed(1))
        return noise + strength * (batch.labels - 0.5) + shift

    return answer


def good_but_in(scenario: int) -> Answer:
    """Knows the labels everywhere but in one scenario, where it believes the opposite."""

    def answer(batch: UserBatch) -> Tensor:
        there = (batch.scenario == scenario)[batch.sample_request][:, None]
        return torch.where(there, -knowing(2.0)(batch), knowing(6.0)(batch))

    return answer


def verdict(model: Answer, champion: Answer | None = None, layout: Layout = LAYOUT) -> Verdict:
    batch = BatchBuilder(0).batch([UserShape(0, 0, (6, 6))] * 60)
    beside = None
    if champion is not None:
        spec = parse(SPEC_TEXT, "shop.toml")
        scorer = Scorer(spec, layout, Oracle(champion))  # type: ignore[arg-type]
        beside = Champion("7", scorer, layout)
    return judge([batch], model, ItemCtr.empty(2), layout, beside)


def decision(model: Answer, champion: Answer | None = None, **changes: object) -> Decision:
    return decide(verdict(model, champion), LAYOUT, replace(CONFIG, **changes))  # type: ignore[arg-type]


def test_without_a_champion_a_sound_version_passes() -> None:
    assert decision(knowing(1.0)) == Decision(True, "no champion to compare with")


def test_too_few_samples_are_refused() -> None:
    found = decision(knowing(1.0), min_samples=10_000)
    assert not found.passed
    assert found.reason.endswith("samples of click, fewer than 10000")


def test_one_prediction_that_is_no_number_is_refused() -> None:
    def answer(batch: UserBatch) -> Tensor:
        logits = knowing(1.0)(batch)
        logits[batch.label_present[:, 0].nonzero()[0], 0] = float("nan")
        return logits

    assert decision(answer) == Decision(False, "1 predictions that are no number")


def test_calibration_out_of_bounds_is_refused_and_its_bounds_are_inclusive() -> None:
    timid = knowing(1.0, shift=-2.0)
    exact = float(verdict(timid).model.results()["calibration"][0, -1])
    found = decision(timid)
    assert not found.passed
    assert found.reason == f"calibration of click {exact:.3f}, not within 0.5 and 2.0"
    assert decision(timid, calibration=(exact, 2.0)).passed
    assert not decision(timid, calibration=(np.nextafter(exact, 1), 2.0)).passed


def test_better_than_the_champion_beyond_the_interval_passes() -> None:
    assert decision(knowing(4.0), knowing(1.0)) == Decision(
        True, "click/all/gauc better than champion 7"
    )


def test_as_good_as_the_champion_is_not_enough() -> None:
    found = decision(knowing(2.0), knowing(2.0))
    assert found.reason == (
        "click/all/gauc not better than champion 7 beyond the interval: +0.0000 ± 0.0000"
    )
    assert not found.passed


def test_worse_in_one_scenario_is_refused_though_better_in_all() -> None:
    model, champion = good_but_in(2), knowing(0.5)
    differences = verdict(model, champion).shadow.differences()["gauc"][0]  # type: ignore[union-attr]
    assert differences[0, -1] > 0
    found = decision(model, champion, guards=("gauc",))
    assert not found.passed
    assert found.reason.startswith("click/shop/gauc worse than champion 7: -0.")
    assert decision(model, champion, guards=("gauc",), tolerance=1.0).passed
    assert decision(model, champion, guards=()).passed


def test_a_scenario_with_too_few_samples_guards_nothing() -> None:
    model, champion = good_but_in(2), knowing(0.5)
    samples = verdict(model, champion).model.results()["samples"][0]
    config = replace(CONFIG, guards=("gauc",), min_samples=int(samples[2]) + 1)
    assert decide(verdict(model, champion), LAYOUT, config).passed


def test_lower_entropy_is_better() -> None:
    assert decision(knowing(2.0), knowing(1.0, shift=3.0), metric="normalised_entropy").passed
    found = decision(knowing(1.0, shift=3.0), knowing(2.0), metric="normalised_entropy", guards=())
    assert "not better than champion 7" in found.reason


def test_the_gate_is_read_from_the_spec() -> None:
    section = """
[learner.gate]
task = "buy"
metric = "normalised_entropy"
guards = ["gauc"]
tolerance = 0.01
min_samples = 5
calibration = [0.9, 1.1]
"""
    spec = parse(SPEC_TEXT + section, "shop.toml")
    assert gate_config(spec, "shop.toml") == GateConfig(
        "buy", "normalised_entropy", ("gauc",), 0.01, 5, (0.9, 1.1)
    )
    assert gate_config(parse(SPEC_TEXT, "shop.toml"), "shop.toml").task == "buy"


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ('task = "clik"', "learner.gate.task: expected one of .* received 'clik' .*click"),
        ('metric = "auc"', "learner.gate.metric: expected one of gauc, normalised_entropy"),
        ("calibration = [2, 1]", r"learner.gate.calibration: expected two numbers in order"),
        ("calibration = [1]", r"learner.gate.calibration: expected two numbers in order"),
        ("min_sample = 5", "learner.gate.min_sample: expected no such key .*min_samples"),
    ],
)
def test_a_slip_in_the_gate_is_named(line: str, complaint: str) -> None:
    spec = parse(SPEC_TEXT + "\n[learner.gate]\n" + line, "shop.toml")
    with pytest.raises(SpecError, match=complaint):
        gate_config(spec, "shop.toml")
