"""Runs of days whose entries come in any order, on a real MLflow server."""

from typing import Any

import pytest
from mlflow.tracking import MlflowClient

from learner.day_runs import DayRuns


class Counting(MlflowClient):
    """Counts how often it looks for runs, begins one, or marks one as ended."""

    def __init__(self, uri: str) -> None:
        super().__init__(uri)
        self.asked = {"search": 0, "create": 0, "end": 0}

    def search_runs(self, *words: Any, **settings: Any) -> Any:
        self.asked["search"] += 1
        return super().search_runs(*words, **settings)

    def create_run(self, *words: Any, **settings: Any) -> Any:
        self.asked["create"] += 1
        return super().create_run(*words, **settings)

    def set_terminated(self, *words: Any, **settings: Any) -> Any:
        self.asked["end"] += 1
        return super().set_terminated(*words, **settings)


@pytest.mark.slow
def test_days_are_looked_for_once_and_ended_when_a_later_one_begins(mlflow_uri: str) -> None:
    client = MlflowClient(mlflow_uri)
    parent = client.create_run(client.create_experiment("days in turns")).info.run_id
    counting = Counting(mlflow_uri)
    days = DayRuns(counting, "learner", {})
    names = ["2025-01-07", "2025-01-08", "2025-01-07", "2025-01-08", "2025-01-06", "2025-01-07"]
    runs = [days.run_id(parent, name) for name in names]
    assert runs[0] == runs[2] == runs[5] != runs[1] == runs[3]
    assert counting.asked == {"search": 3, "create": 3, "end": 2}
    assert [client.get_run(run).info.status for run in (runs[0], runs[1], runs[4])] == [
        "FINISHED", "RUNNING", "FINISHED"
    ]  # fmt: skip
    days.finish()
    assert client.get_run(runs[1]).info.status == "FINISHED"
    again = DayRuns(counting, "learner", {})
    assert [again.run_id(parent, name) for name in names] == runs
    assert counting.asked["create"] == 3
