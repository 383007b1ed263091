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
KEPT = 64
"""Days whose runs are known without asking."""


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
        self._parent: str | None = None
        self._experiment = ""
        self._known: dict[str, str] = {}
        self._going_on: set[str] = set()

    def run_id(self, parent: str, day: str) -> str:
        """The run of a day. Once a later one is known it is marked as ended.

        Entries of an ended day, whose labels have settled since, go to its run all the same.
        """
        if parent != self._parent:
            self._parent, self._known, self._going_on = parent, {}, set()
            self._experiment = str(self._client.get_run(parent).info.experiment_id)
        if day not in self._known:
            self._known[day] = self._found(parent, day) or self._begun(parent, day)
            self._going_on.add(day)
            self._end(self._going_on - {max(self._known)})
            self._known = dict(sorted(self._known.items())[-KEPT:]) | {day: self._known[day]}
        return self._known[day]

    def finish(self) -> None:
        """Mark all days as ended."""
        self._end(set(self._going_on))

    def _end(self, days: set[str]) -> None:
        for day in sorted(days):
            self._client.set_terminated(self._known[day])
            self._going_on.discard(day)

    def _found(self, parent: str, day: str) -> str | None:
        query = f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{parent}' and tags.{DAY} = '{day}'"
        runs = self._client.search_runs([self._experiment], query, max_results=1)
        return str(runs[0].info.run_id) if runs else None

    def _begun(self, parent: str, day: str) -> str:
        run = self._client.create_run(
            self._experiment,
            tags=self._tags | {MLFLOW_PARENT_RUN_ID: parent, DAY: day},
            run_name=f"{self._name} {day}",
        )
        return str(run.info.run_id)
