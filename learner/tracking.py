"""From the journal to MLflow, in batches; what was sent twice counts once.

MLflow keys a metric by name, step, time and value, all of which follow from the windows and the
weights, so that repeating an entry after a crash changes nothing.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from learner.day_runs import DayRuns, day_of, headlines
from learner.journal import Entry, Journal
from schemas.durable import write_json

BATCH_METRICS = 1000
"""What one `log_batch` may carry."""

MAX_PARAM_CHARS = 6000
GONE = "RESOURCE_DOES_NOT_EXIST"


@dataclass(frozen=True)
class Sent:
    """How much of the journal one server's run has."""

    uri: str
    run_id: str
    bytes: int


@dataclass(frozen=True)
class RunSpec:
    """What the run is called and what it says of itself."""

    experiment: str
    name: str
    params: Mapping[str, str]
    tags: Mapping[str, str]


class Tracker:
    """The MLflow run of one state folder, kept across restarts in `tracking.json`.

    Every method raises MlflowException if the server does not answer.
    """

    def __init__(self, client: MlflowClient, run: RunSpec, journal: Journal, file: Path) -> None:
        self._client = client
        self._run = run
        self._journal = journal
        self._file = file
        self._days = DayRuns(client, run.name, run.tags)
        self._sent: Sent | None = None

    def run_id(self) -> str:
        """The run, found again or begun."""
        return self._open().run_id

    @property
    def known_run_id(self) -> str | None:
        """The run, if this process has reached it."""
        return self._sent.run_id if self._sent else None

    def send(self) -> None:
        """Bring the run, and its days', up to the journal's end."""
        sent = self._open()
        for entry, offset in self._journal.since(sent.bytes):
            self._log(sent.run_id, entry, headlines(entry))
            self._log(self._days.run_id(sent.run_id, day_of(entry)), entry, entry.metrics)
            sent = replace(sent, bytes=offset)
            self._remember(sent)

    def log_artifact(self, path: Path) -> None:
        """Upload one file to the run."""
        self._client.log_artifact(self.run_id(), str(path))

    def unsent(self) -> int:
        """Journal entries that the run does not have yet."""
        sent = self._sent or self._stored()
        return sum(1 for _ in self._journal.since(sent.bytes if sent else 0))

    def finish(self) -> None:
        """Mark the runs as ended; a later start reopens them."""
        self._days.finish()
        if self._sent is not None:
            self._client.set_terminated(self._sent.run_id)

    def cut(self, journal_bytes: int) -> None:
        """The journal was cut to this length: what it writes anew is sent anew."""
        stored = self._stored()
        if stored is not None and stored.bytes > journal_bytes:
            write_json(self._file, asdict(replace(stored, bytes=journal_bytes)))

    def _log(self, run_id: str, entry: Entry, values: Mapping[str, float]) -> None:
        metrics = [
            Metric(_allowed(name), value, entry.time_ms, entry.step)
            for name, value in values.items()
        ]
        for first in range(0, len(metrics), BATCH_METRICS):
            self._client.log_batch(run_id, metrics=metrics[first : first + BATCH_METRICS])

    def _open(self) -> Sent:
        if self._sent is None:
            self._sent = self._resumed() or self._begun()
        return self._sent

    def _stored(self) -> Sent | None:
        if not self._file.exists():
            return None
        sent = Sent(**json.loads(self._file.read_text()))
        return sent if sent.uri == self._client.tracking_uri else None

    def _resumed(self) -> Sent | None:
        stored = self._stored()
        if stored is None:
            return None
        try:
            self._client.update_run(stored.run_id, status="RUNNING")
        except MlflowException as error:
            if error.error_code == GONE:
                return None
            raise
        return stored

    def _begun(self) -> Sent:
        run = self._client.create_run(
            _experiment(self._client, self._run.experiment),
            tags=dict(self._run.tags),
            run_name=self._run.name,
        )
        params = [Param(key, text[:MAX_PARAM_CHARS]) for key, text in self._run.params.items()]
        self._client.log_batch(run.info.run_id, params=params)
        sent = Sent(str(self._client.tracking_uri), run.info.run_id, 0)
        self._remember(sent)
        return sent

    def _remember(self, sent: Sent) -> None:
        self._sent = sent
        write_json(self._file, asdict(sent))


def _experiment(client: MlflowClient, name: str) -> str:
    found = client.get_experiment_by_name(name)
    return str(found.experiment_id) if found else str(client.create_experiment(name))


def _allowed(name: str) -> str:
    """MLflow's alphabet for metric names: letters, digits and `_-. :/`."""
    return re.sub(r"[^\w\-. :/]", "_", name)
