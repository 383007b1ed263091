"""The sketches against scikit-learn and numbers worked out by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import log_loss, ndcg_score, roc_auc_score

from learner.metrics import Scorecard, Scored, joined, named
from learner.metrics.grouped_auc import auc_by_group
from learner.metrics.histogram_auc import BINS
from learner.metrics.ndcg import ndcg_by_request
from learner.metrics.reliability import reliability
from learner.metrics.resampled import RESAMPLES, Resampled, appearances
from learner.metrics.scored import Bools, Floats

TASKS, SCENARIOS = 2, 3


def scored(seed: int, users: int = 40, ties: bool = False, missing: float = 0.1) -> Scored:
    """Random samples: up to four requests a user, up to nine candidates a request."""
    rng = np.random.default_rng(seed)
    request_user = np.repeat(np.arange(users), rng.integers(1, 5, users))
    request = np.repeat(np.arange(len(request_user)), rng.integers(1, 10, len(request_user)))
    scenario = rng.integers(0, SCENARIOS, len(request_user))[request]
    logits = rng.normal(-1, 1.5, (len(request), TASKS))
    return Scored(
        logits=np.round(logits) if ties else logits,
        positive=rng.random(logits.shape) < 1 / (1 + np.exp(-logits)),
        present=rng.random(logits.shape) >= missing,
        column=scenario,
        request=request,
        user=request_user[request],
        user_hash=rng.integers(-(2**62), 2**62, users),
    )


def only(logits: list[float], labels: list[int], request: list[int] | None = None) -> Scored:
    """Samples of one task in scenario 0; one user a request."""
    groups = np.array(request or [0] * len(logits), dtype=np.int64)
    return Scored(
        np.array(logits, float)[:, None],
        np.array(labels, bool)[:, None],
        np.ones((len(logits), 1), bool),
        np.zeros(len(logits), np.int64),
        groups,
        groups,
        np.arange(int(groups.max()) + 1 if groups.size else 0),
    )


def cell(part: Scored, task: int, scenario: int | None) -> tuple[Floats, Bools, np.ndarray]:
    """Logits, labels and users of one task and scenario."""
    kept = part.present[:, task] & (
        (part.column == scenario) if scenario is not None else np.bool_(True)
    )
    return part.logits[kept, task], part.positive[kept, task], part.user[kept]


@pytest.mark.parametrize("ties", [False, True])
def test_auc_and_entropy_agree_with_scikit_learn_in_every_task_and_scenario(ties: bool) -> None:
    part = scored(1, users=400, ties=ties)
    results = Scorecard.of(part, TASKS, SCENARIOS).results()
    for task in range(TASKS):
        for column, scenario in enumerate([*range(SCENARIOS), None]):
            logit, label, _ = cell(part, task, scenario)
            auc = roc_auc_score(label, logit)
            probability = 1 / (1 + np.exp(-logit))
            base = np.full(len(label), label.mean())
            assert results["auc"][task, column] == pytest.approx(auc, abs=5e-4)
            entropy = log_loss(label, probability) / log_loss(label, base)
            assert results["normalised_entropy"][task, column] == pytest.approx(entropy)
            expected = probability.sum() / label.sum()
            assert results["calibration"][task, column] == pytest.approx(expected)
            assert results["samples"][task, column] == len(label)


@pytest.mark.parametrize("ties", [False, True])
def test_gauc_is_the_impression_weighted_auc_of_users_with_both_classes(ties: bool) -> None:
    part = scored(2, ties=ties)
    gauc = Scorecard.of(part, TASKS, SCENARIOS).results()["gauc"]
    for task in range(TASKS):
        for column, scenario in enumerate([*range(SCENARIOS), None]):
            logit, label, user = cell(part, task, scenario)
            both = [u for u in np.unique(user) if len(np.unique(label[user == u])) == 2]
            weights = [int((user == u).sum()) for u in both]
            aucs = [roc_auc_score(label[user == u], logit[user == u]) for u in both]
            assert gauc[task, column] == pytest.approx(np.average(aucs, weights=weights))


def test_a_tie_between_the_classes_counts_one_half() -> None:
    auc, size, group = auc_by_group(
        np.array([0.0, 0.0, 1.0, 5.0]), np.array([True, False, False, True]), np.array([7, 7, 7, 9])
    )
    assert (auc.tolist(), size.tolist(), group.tolist()) == ([0.25], [3], [7])


def test_skewed_scores_keep_their_order_in_logit_bins() -> None:
    logits = np.linspace(-15, -9, 2_000)
    labels = np.random.default_rng(0).random(2_000) < np.linspace(0.01, 0.2, 2_000)
    auc = Scorecard.of(only(list(logits), list(labels)), 1, 1).results()["auc"][0, 0]
    assert auc == pytest.approx(roc_auc_score(labels, logits), abs=1e-3)


def test_the_best_positive_must_beat_all_but_four_negatives_to_hit() -> None:
    ahead_4 = [5.0, 4, 3, 2, 1, 0], [0, 0, 0, 0, 1, 0]
    ahead_5 = [5.0, 4, 3, 2, 1, 0], [0, 0, 0, 0, 0, 1]
    tied = [1.0] * 6, [1, 0, 0, 0, 0, 0]
    no_positive = [1.0, 2.0], [0, 0]
    two_best_counts = [9.0, 5, 4, 3, 2, 1, 0], [1, 0, 0, 0, 0, 0, 1]
    for (logits, labels), expected in [(ahead_4, 1), (ahead_5, 0), (tied, 0), (two_best_counts, 1)]:
        results = Scorecard.of(only(logits, labels), 1, 1).results()
        assert results["hr_at_5"][0, 0] == expected
    both = joined([only(*ahead_4), only(*ahead_5), only(*no_positive)])
    assert Scorecard.of(both, 1, 1).results()["hr_at_5"].tolist() == [[0.5, 0.5]]


@pytest.mark.parametrize("ties", [False, True])
def test_ndcg_agrees_with_scikit_learn_in_every_request(ties: bool) -> None:
    rng = np.random.default_rng(5)
    request = np.repeat(np.arange(60), rng.integers(2, 30, 60))
    score = rng.normal(size=len(request))
    score = np.round(score) if ties else score
    positive = rng.random(len(request)) < 0.2
    shuffled = rng.permutation(len(request))
    gained, positives, number = ndcg_by_request(
        score[shuffled], positive[shuffled], request[shuffled]
    )
    for one, found, among in zip(number, gained, positives, strict=True):
        own = request == one
        assert among == positive[own].sum()
        expected = ndcg_score([positive[own].astype(int)], [score[own]], k=10)
        assert found == pytest.approx(expected)


def test_ndcg_by_hand() -> None:
    # Positives at ranks 1 and 3 of three: (1 + 1 / log2 4) / (1 + 1 / log2 3).
    results = Scorecard.of(only([3.0, 2.0, 1.0], [1, 0, 1]), 1, 1).results()
    assert results["ndcg_at_10"][0, 0] == pytest.approx(1.5 / (1 + 1 / np.log2(3)))
    # All tied: each shares the mean discount of ranks 1 and 2.
    results = Scorecard.of(only([1.0, 1.0], [1, 0]), 1, 1).results()
    assert results["ndcg_at_10"][0, 0] == pytest.approx((1 + 1 / np.log2(3)) / 2)


def test_users_appear_in_resamples_as_often_as_poisson_says_and_always_the_same() -> None:
    users = np.random.default_rng(6).integers(-(2**62), 2**62, 20_000)
    times = appearances(users)
    for count, expected in enumerate([0.3679, 0.3679, 0.1839, 0.0613]):
        assert (times == count).mean() == pytest.approx(expected, abs=2e-3)
    assert np.abs(np.corrcoef(times.T) - np.eye(RESAMPLES)).max() < 0.04
    np.testing.assert_array_equal(appearances(users[::-1])[::-1], times)


def test_a_resample_is_the_metric_with_each_user_counted_so_often() -> None:
    part = scored(7, users=30)
    found = Resampled.of(part, TASKS, SCENARIOS).metrics()
    times = appearances(part.user_hash)
    for column, scenario in enumerate([*range(SCENARIOS), None]):
        logit, label, user = cell(part, 1, scenario)
        weight = times[user, 3]
        probability = 1 / (1 + np.exp(-logit))
        expected = (weight * probability).sum() / (weight * label).sum()
        assert found["calibration"][1, column, 3] == pytest.approx(expected)
        entropy = log_loss(label, probability, sample_weight=weight)
        base = np.full(len(label), np.average(label, weights=weight))
        entropy /= log_loss(label, base, sample_weight=weight)
        assert found["normalised_entropy"][1, column, 3] == pytest.approx(entropy)
        both = [u for u in np.unique(user) if 0 < label[user == u].mean() < 1]
        sizes = [times[u, 3] * (user == u).sum() for u in both]
        aucs = [roc_auc_score(label[user == u], logit[user == u]) for u in both]
        assert found["gauc"][1, column, 3] == pytest.approx(np.average(aucs, weights=sizes))


def test_the_interval_is_as_wide_as_a_plain_bootstrap_of_users_says() -> None:
    part = scored(8, users=400)
    width = Scorecard.of(part, TASKS, SCENARIOS).results()["calibration_ci95"][0, -1]
    logit, label, user = cell(part, 0, None)
    expected = np.bincount(user, 1 / (1 + np.exp(-logit)), minlength=400)
    observed = np.bincount(user, label, minlength=400)
    rng = np.random.default_rng(9)
    drawn = rng.integers(0, 400, (2_000, 400))
    spread = (expected[drawn].sum(axis=1) / observed[drawn].sum(axis=1)).std()
    assert width == pytest.approx(1.96 * spread, rel=0.25)


def test_one_class_leaves_ranking_metrics_undefined_and_unnamed() -> None:
    results = Scorecard.of(only([1.0, 2.0], [0, 0]), 1, 1).results()
    names = named(results, ("click",), ("home",))
    assert names == {"click/home/samples": 2, "click/all/samples": 2}


def test_no_samples_have_no_metrics() -> None:
    assert named(Scorecard.empty(TASKS, SCENARIOS).results(), ("a", "b"), ("x", "y", "z")) == {}


@given(st.lists(st.integers(0, 1_000), min_size=1, max_size=4))
@settings(max_examples=15, deadline=None)
def test_merged_scorecards_equal_the_scorecard_of_everything(seeds: list[int]) -> None:
    parts = [scored(seed, users=6, ties=seed % 2 == 0) for seed in seeds]
    merged = Scorecard.empty(TASKS, SCENARIOS)
    for part in parts:
        merged = merged.merge(Scorecard.of(part, TASKS, SCENARIOS))
    whole = Scorecard.of(joined(parts), TASKS, SCENARIOS)
    for name, values in whole.results().items():
        np.testing.assert_allclose(merged.results()[name], values, err_msg=name)


def test_a_stored_scorecard_comes_back_equal() -> None:
    card = Scorecard.of(scored(3), TASKS, SCENARIOS)
    again = Scorecard.from_arrays(card.arrays())
    for name, array in card.arrays().items():
        np.testing.assert_array_equal(again.arrays()[name], array)


def test_the_reliability_curve_agrees_with_scikit_learn() -> None:
    rng = np.random.default_rng(10)
    logits = rng.normal(-2, 1.5, 30_000)
    labels = rng.random(30_000) < 1 / (1 + np.exp(-0.7 * logits))
    card = Scorecard.of(only(list(logits), list(labels)), 1, 1)
    found = reliability(card.auc.counts[0].sum(axis=0), groups=10)
    probability = 1 / (1 + np.exp(-logits))
    observed, predicted = calibration_curve(labels, probability, n_bins=10, strategy="quantile")
    np.testing.assert_allclose(found.predicted, predicted, atol=1e-3)
    np.testing.assert_allclose(found.observed, observed, atol=4e-3)
    assert found.samples.sum() == 30_000


def test_one_heavy_bin_makes_one_point_and_none_makes_none() -> None:
    counts = np.zeros((2, BINS), dtype=np.int64)
    assert reliability(counts).samples.tolist() == []
    counts[:, BINS // 2] = 3, 1
    found = reliability(counts)
    assert (found.observed.tolist(), found.samples.tolist()) == ([0.25], [4])
    assert found.predicted[0] == pytest.approx(0.5, abs=1e-3)
