"""All talk with MLflow, in a thread of its own: training never waits for a server.

Nothing is held in memory only: metrics wait in the journal, versions in their staging folder. If
MLflow does not answer, the thread tries again after pauses that grow; what a process could not
send, the next one does.
"""

import logging
import os
import threading
import time
from pathlib import Path

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from requests import RequestException

from learner.freshness import FRESHNESS
from learner.journal import Journal
from learner.pins import Pins
from learner.plot import plot, plot_freshness, plot_tables
from learner.registry import register
from learner.retention import drop_doubles, release, retire
from learner.staging import waiting
from learner.status import Mail
from learner.tracking import Tracker

log = logging.getLogger(__name__)

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
_UNREACHABLE = (MlflowException, RequestException, OSError)


class Outbox:
    """Sends metrics, registers staged versions and uploads the plots.

    Args:
        client: of the MLflow server.
        tracker: of the run.
        journal: of the metrics.
        versions: the staging folder.
        registered_model: the name that versions are registered under.
        keep_versions: how many of them stay, beside those with an alias.
        pins: the checkpoints that stay with them.
    """

    def __init__(
        self,
        client: MlflowClient,
        tracker: Tracker,
        journal: Journal,
        versions: Path,
        registered_model: str,
        keep_versions: int,
        pins: Pins,
    ) -> None:
        self._client = client
        self._tracker = tracker
        self._journal = journal
        self._versions = versions
        self._name = registered_model
        self._keep_versions = keep_versions
        self._pins = pins
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._deadline = float("inf")
        self.registered: list[str] = []
        """Numbers of the versions registered by this process."""
        self._error: str | None = None
        self._plotted_bytes = 0
        self._thread = threading.Thread(target=self._run, name="mlflow", daemon=True)

    def start(self) -> None:
        """Begin sending what is there."""
        tame_client()
        self._thread.start()

    def wake(self) -> None:
        """There is something new to send."""
        self._wake.set()

    def close(self, patience_s: float) -> int:
        """Send what is left for at most so long; how many entries and versions stay unsent."""
        self._deadline = time.monotonic() + patience_s
        self._closing.set()
        self._wake.set()
        self._thread.join(patience_s + 5)
        return self.unsent()

    def mail(self) -> Mail:
        """What waits, and why."""
        return Mail(self.unsent(), self._error)

    def unsent(self) -> int:
        """How many entries and versions wait."""
        return self._tracker.unsent() + len(waiting(self._versions))

    def _run(self) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            closing = self._closing.is_set()
            self._wake.clear()
            try:
                self._deliver(closing)
                pause_s, self._error = FIRST_PAUSE_S, None
                if closing:
                    return
                self._wake.wait()
            except _UNREACHABLE as error:
                self._error = str(error)
                log.warning("MLflow did not take it, again in %.0f s: %s", pause_s, error)
                self._closing.wait(pause_s)
                if self._closing.is_set() and time.monotonic() + pause_s > self._deadline:
                    return
                if closing:
                    time.sleep(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _deliver(self, closing: bool) -> None:
        self._tracker.send()
        staged = waiting(self._versions)
        for version in staged:
            number = register(self._client, version, self._name, self._tracker.run_id())
            for picture in version.pictures:
                self._tracker.log_artifact(picture)
            version.discard()
            self.registered.append(number)
            log.info("registered %s version %s", self._name, number)
        if staged or closing:
            drop_doubles(self._client, self._name)
        if staged:
            retire(self._client, self._name, self._keep_versions)
            release(self._client, self._name, self._pins, self._waiting_lineages)
        if (staged or closing) and self._journal_bytes() != self._plotted_bytes:
            self._upload_plots()
        if closing:
            self._tracker.finish()

    def _waiting_lineages(self) -> set[str]:
        return {one.tags["lineage_id"] for one in waiting(self._versions)}

    def _journal_bytes(self) -> int:
        path = self._journal.path
        return path.stat().st_size if path.exists() else 0

    def _upload_plots(self) -> None:
        """Draw what the journal holds; what is appended meanwhile is drawn the next time."""
        length = self._journal_bytes()
        state = self._versions.parent
        fresh = Journal(state / FRESHNESS)
        for draw, journal, name in (
            (plot, self._journal, "gauc.png"),
            (plot_tables, self._journal, "tables.png"),
            (plot_freshness, fresh, "freshness.png"),
        ):
            if draw(journal, state / name):
                self._tracker.log_artifact(state / name)
        self._plotted_bytes = length


def tame_client() -> None:
    """Let MLflow's client give up early, but bear a slow server, and print nothing.

    By default it blocks for minutes in retries of its own, and writes links and progress bars to
    the terminal, where the front door's own output belongs.
    """
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
