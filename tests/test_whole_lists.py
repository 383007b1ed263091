"""How `benchmarks/entire_space_models.py` judges scores, on lists small enough to do by hand."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from benchmarks.whole_lists.judged import Judged, ndcg
from schemas.spec import Task

HOUR_MS = 3_600_000
TASKS = {
    "click": Task("click", "click", HOUR_MS, HOUR_MS, "binary", ("search",)),
    "conversion": Task("conversion", "conversion", 2 * HOUR_MS, HOUR_MS, "binary", ("search",)),
}


def one_list(score: list[float], gain: list[float]) -> pl.DataFrame:
    return pl.DataFrame({"request_id": ["r"] * len(score), "score": score, "gain": gain})


def test_ndcg_discounts_by_rank() -> None:
    # Ranked: gains 1, 3, 2. DCG = 1 + 3 / log2 3 + 2 / 2 = 3.89279; the best is 3, 2, 1:
    # 3 + 2 / log2 3 + 1 / 2 = 4.76186.
    assert ndcg(one_list([0.9, 0.1, 0.5], [1, 2, 3])) == pytest.approx(3.89279 / 4.76186, abs=1e-5)


def test_ndcg_of_candidates_that_share_a_score_is_that_of_their_mean_gain() -> None:
    # Both have the mean gain of 2: 2 + 2 / log2 3 = 3.26186, of 3 + 1 / log2 3 = 3.63093.
    assert ndcg(one_list([0.5, 0.5], [1, 3])) == pytest.approx(3.26186 / 3.63093, abs=1e-5)


def test_ndcg_looks_at_ten() -> None:
    # The one candidate with a gain is ranked eleventh.
    assert ndcg(one_list([float(-at) for at in range(11)], [0.0] * 10 + [1.0])) == 0


def test_ndcg_is_the_mean_over_requests() -> None:
    good = one_list([2, 1], [1, 0])
    # The only gain at rank 2: 1 / log2 3 = 0.63093.
    bad = one_list([1, 2], [1, 0]).with_columns(request_id=pl.lit("s"))
    assert ndcg(pl.concat([good, bad])) == pytest.approx((1 + 0.63093) / 2, abs=1e-5)


def test_the_truth_says_what_was_caused_and_how_likely_it_was(tmp_path: Path) -> None:
    write_truth(tmp_path)
    keys = {"user": [1, 1, 1], "request_id": ["r"] * 3, "item_id": ["b", "a", "c"]}
    labels = {"click": [False, True, False], "conversion": [True, False, False]}
    candidates = pl.DataFrame(keys | {"exposed": [True, True, False]} | labels)
    shown = candidates.filter("exposed")
    judged = Judged.of(candidates, shown[::-1], tmp_path, TASKS)
    assert judged.labels["own"].tolist() == [[False, True], [True, False]]
    # Item a was clicked within the hour; b was bought within two hours and clicked too late.
    assert judged.labels["caused"].tolist() == [[False, True], [True, False]]
    np.testing.assert_allclose(judged.chances, [[0.2, 0.02], [0.5, 0.1], [0.4, 0.2]])
    assert judged.policy[:, 0].tolist() == [-1, 0, -2]
    found = {
        (task, label, metric): value
        for task, label, metric, value in judged.metrics(
            np.array([[0.9, 0.9], [0.1, 0.1], [0.5, 0.5]])
        )
    }
    assert found["click", "caused", "AUC"] == 0  # b above a, and a was clicked
    assert found["conversion", "caused", "AUC"] == 1
    # Ranked b, c, a: 0.2 + 0.4 / log2 3 + 0.5 / 2 = 0.70237, of 0.5 + 0.4 / log2 3 + 0.2 / 2.
    assert found["click", "lists", "NDCG"] == pytest.approx(0.70237 / 0.85237, abs=1e-4)


def test_a_candidate_that_the_truth_does_not_list_is_an_error(tmp_path: Path) -> None:
    write_truth(tmp_path)
    strange = pl.DataFrame(
        {"user": [1], "request_id": ["r"], "item_id": ["d"], "exposed": [True]}
        | {"click": [False], "conversion": [False]}
    )
    with pytest.raises(AssertionError, match="known to the truth"):
        Judged.of(strange, strange, tmp_path, TASKS)


def write_truth(root: Path) -> None:
    """A request at 0 with items a, b and c: a clicked, b bought in time and clicked too late."""
    for name in ("feedback", "requests"):
        (root / name).mkdir()
    numbers, ids = [0, 1, 2, 3], ["a", "b", "c", "d"]
    pl.DataFrame({"number": numbers, "item_id": ids}).write_parquet(root / "items.parquet")
    lists = {
        "request_id": ["r"],
        "item": [[0, 1, 2]],
        "attraction": [[0.5, 0.2, 0.4]],
        "conversion": [[0.2, 0.1, 0.5]],
    }
    pl.DataFrame(lists).write_parquet(root / "requests" / "all.parquet")
    feedback = {
        "stream": ["click", "click", "conversion"],
        "item_id": ["a", "b", "b"],
        "cause_request_id": ["r"] * 3,
        "cause_time_ms": [0] * 3,
        "time_ms": [HOUR_MS, HOUR_MS + 1, 2 * HOUR_MS],
    }
    pl.DataFrame(feedback).write_parquet(root / "feedback" / "all.parquet")
