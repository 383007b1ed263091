"""A server's request scores as the same request does in a window."""

from pathlib import Path

import numpy as np
import pytest
import torch

from learner.batches import user_batch
from learner.requests import Request, example_request, request_batch
from learner.scorer import Scorer, save_scorer
from models import create
from models.batch import Ids, Numbers
from models.layout import Layout
from schemas.errors import UserError
from schemas.hashing import hash_one
from schemas.spec import parse
from schemas.windows.packed import pack
from tests.learner.world import SPEC, SPEC_TEXT, START_MS, records

LAYOUT = Layout.of(SPEC)


def as_request(user: dict[str, object], request: dict[str, object]) -> Request:
    """The raw form of a stored request: lists of structs, item ids as strings."""
    return {
        "user": user["user_id"],
        "scenario": request["scenario"],
        "time_ms": request["time_ms"],
        "features": {"segment": request["segment"]},
        "history": rows(user["history"]),
        "recent": rows(user["recent"]),
        "candidates": [
            {**row, "item": row["item_id"]}
            for row in rows({k: v for k, v in request["candidates"].items() if k != "labels"})  # type: ignore[attr-defined]
        ],
    }


def rows(arrays: object) -> list[dict[str, object]]:
    """A struct of arrays as a list of structs."""
    assert isinstance(arrays, dict)
    return [dict(zip(arrays, values, strict=True)) for values in zip(*arrays.values(), strict=True)]


@pytest.mark.parametrize("name", ["dlrm_mlp", "mtfm"])
def test_a_request_scores_as_it_does_in_its_window(name: str, tmp_path: Path) -> None:
    users = records(np.random.default_rng(3), START_MS, np.arange(6))
    model = create(name, LAYOUT, "tiny", seed=1).eval()
    named = {"model": name, "preset": "tiny", "overrides": {}}
    save_scorer(tmp_path, model.state_dict(), named, SPEC_TEXT)
    requests = [as_request(user, one) for user in users.to_pylist() for one in user["requests"]]
    with torch.no_grad():
        expected = model(user_batch(pack(users), LAYOUT)).sigmoid()
    answers = Scorer.load(tmp_path).score(requests)
    for task, name in enumerate(LAYOUT.tasks):
        scores = [score for answer in answers for score in answer[name]]
        torch.testing.assert_close(torch.tensor(scores), expected[:, task], rtol=1e-4, atol=1e-5)


def test_an_absent_feature_is_missing_unless_the_spec_has_a_default() -> None:
    spec = parse(
        SPEC_TEXT.replace(
            'segment = { owner = "user", type = "id" }',
            'segment = { owner = "user", type = "id", default = "none" }',
        )
    )
    request = {**example_request(SPEC), "features": {}, "candidates": [{"item": "a"}]}
    blank = request_batch([request], SPEC, LAYOUT)
    filled = request_batch([request], spec, LAYOUT)
    segments = [batch.request_features["segment"] for batch in (blank, filled)]
    assert all(isinstance(one, Ids) for one in segments)
    assert [(one.values.tolist(), one.present.tolist()) for one in segments] == [  # type: ignore[union-attr]
        ([0], [False]),
        ([hash_one("none")], [True]),
    ]
    price = blank.sample_features["price"]
    assert isinstance(price, Numbers)
    assert not price.present.any()


def test_a_request_is_a_sample_of_its_scenarios_domain() -> None:
    requests = [{**example_request(SPEC), "scenario": s} for s in ("detail", "search", "home")]
    batch = request_batch(requests, SPEC, LAYOUT)
    domains = [LAYOUT.domains[index] for index in batch.domain.tolist()]
    assert domains == ["feed", "search", "feed"]
    assert batch.origin_domain.tolist() == batch.domain.tolist()
    assert batch.query_path.tolist() == [-1] * 3
    assert not batch.query_score.present.any()
    assert batch.origin.tolist() == [0] * batch.n_samples


def test_an_unknown_scenario_of_a_request_is_refused() -> None:
    with pytest.raises(UserError, match="did you mean 'home'"):
        request_batch([{**example_request(SPEC), "scenario": "hone"}], SPEC, LAYOUT)
