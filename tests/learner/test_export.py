"""A version's part for one scenario: the same scores, from a folder of its own."""

from dataclasses import replace
from pathlib import Path

import mlflow.pyfunc
import pytest
from mlflow.tracking import MlflowClient

from learner.export import export, export_part
from learner.registry import rows_of, save_pyfunc
from learner.requests import example_request
from learner.scorer import Scorer
from schemas.errors import UserError
from tests.learner.runs import NOWHERE, SMALL, learn, shop
from tests.learner.world import SPEC_TEXT

TWO = SPEC_TEXT.replace('scenarios = ["search"]', 'scenarios = ["lens", "search"]')


@pytest.fixture
def version(tmp_path: Path) -> Path:
    """The folder of an MTFM of two scenarios."""
    settings = replace(shop(tmp_path, windows=2), model="mtfm")
    settings.spec.write_text(TWO + SMALL)
    learn(settings)
    [staged] = sorted((settings.state / "versions").iterdir())
    return staged / "model"


def test_a_part_answers_its_scenario_as_the_whole_does_and_no_other(
    version: Path, tmp_path: Path
) -> None:
    exported = export_part(version, "search", tmp_path / "part")
    assert 0 < exported.parameters < exported.of
    whole, part = Scorer.load(version), Scorer.load(tmp_path / "part")
    request = example_request(whole.spec) | {"scenario": "search"}
    request["candidates"] = [{"item": f"item-{at}"} for at in range(4)]
    [expected], [received] = whole.score([request]), part.score([request])
    for task, values in expected.items():
        assert received[task] == pytest.approx(values, abs=1e-6)
    with pytest.raises(UserError, match="expected a scenario of the spec, received 'lens'"):
        part.score([request | {"scenario": "lens"}])


def test_mlflow_loads_a_part_with_an_example_and_its_lineage(version: Path, tmp_path: Path) -> None:
    export_part(version, "search", tmp_path / "part")
    save_pyfunc(tmp_path / "pyfunc", tmp_path / "part")
    model = mlflow.pyfunc.load_model(str(tmp_path / "pyfunc"))
    example = model.input_example
    assert list(example["scenario"]) == ["search"]
    whole = Scorer.load(version)
    request = example_request(whole.spec) | {"scenario": "search"}
    [expected], answer = whole.score([request]), model.predict(rows_of([request]))
    for task, values in expected.items():
        assert answer[task][0] == pytest.approx(values, abs=1e-6)
    lineage = (version / "lineage.json").read_bytes()
    assert lineage in [path.read_bytes() for path in (tmp_path / "pyfunc").rglob("lineage.json")]


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected a folder that is not there yet"):
        export(MlflowClient(NOWHERE), "name", "1", "search", tmp_path)
