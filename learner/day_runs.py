"""A run a day, nested under the learner's own: no run of MLflow's grows for ever.

The learner's run shows all scenarios together, which stays quick over months; a day's run has
every task, scenario, domain and origin of the windows that began on that day (UTC).
"""

from collections.abc import Mapping
from datetime import UTC, datetime

from mlflow.tracking import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from learner.journal import Entry
from learner.metrics import ALL

DAY = "day"
HEADLINES = ("train/", "window/")


def headlines(entry: Entry) -> dict[str, float]:
    """What the learner's own run shows of an entry."""
    return {
        name: value
        for name, value in entry.metrics.items()
        if f"/{ALL}/" in name or name.startswith(HEADLINES)
    }


def day_of(entry: Entry) -> str:
    """The day on which an entry's window began, such as `2022-05-01`."""
    return datetime.fromtimestamp(entry.window_start_ms / 1000, UTC).strftime("%Y-%m-%d")


class DayRuns:
    """The runs of single days under one parent, found again after a restart.

    Every method raises MlflowException if the server does not answer.
    """

    def __init__(self, client: MlflowClient, name: str, tags: Mapping[str, str]) -> None:
        self._client = client
        self._name = name
        self._tags = dict(tags)
        self._open: tuple[str, str, str] | None = None

    def run_id(self, parent: str, day: str) -> str:
        """The run of a day; the day that was written before is marked as ended."""
        if self._open is not None and self._open[:2] == (parent, day):
            return self._open[2]
        self.finish()
        run_id = self._found(parent, day) or self._begun(parent, day)
        self._open = parent, day, run_id
        return run_id

    def finish(self) -> None:
        """Mark the day at hand as ended; a later entry of it reopens it."""
        if self._open is not None:
            self._client.set_terminated(self._open[2])
            self._open = None

    def _found(self, parent: str, day: str) -> str | None:
        experiment = self._client.get_run(parent).info.experiment_id
        query = f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{parent}' and tags.{DAY} = '{day}'"
        runs = self._client.search_runs([experiment], query, max_results=1)
        return str(runs[0].info.run_id) if runs else None

    def _begun(self, parent: str, day: str) -> str:
        run = self._client.create_run(
            self._client.get_run(parent).info.experiment_id,
            tags=self._tags | {MLFLOW_PARENT_RUN_ID: parent, DAY: day},
            run_name=f"{self._name} {day}",
        )
        return str(run.info.run_id)
