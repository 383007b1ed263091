"""Follows the alias `champion` in a thread: a version that a person promotes is fetched and kept.

The learner's loop takes `current` between windows; it never waits for the server.
"""

import logging
import shutil
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import mlflow.artifacts
import torch
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from requests import RequestException
from safetensors import SafetensorError

from learner.promotion import champion_of, note_moves
from learner.scorer import Scorer
from learner.shadow import Champion
from models.layout import Layout
from schemas.errors import UserError

log = logging.getLogger(__name__)

FIRST_LOOK_S = 10.0
_UNREACHABLE = (MlflowException, RequestException, OSError)


class ChampionWatch:
    """Polls the registry every `poll_s` seconds while it runs.

    Args:
        client: of the MLflow server.
        name: the registered model's.
        layout: the learner's.
        device: where the champion is to score.
        poll_s: seconds between two looks.
        noticed: called with the champion's number, or None, when it has changed and is ready.
    """

    def __init__(
        self,
        client: MlflowClient,
        name: str,
        layout: Layout,
        device: torch.device,
        poll_s: float = 5.0,
        noticed: Callable[[str | None], None] = lambda version: None,
    ) -> None:
        self._client = client
        self._name = name
        self._layout = layout
        self._device = device
        self._poll_s = poll_s
        self._noticed = noticed
        self._looked = threading.Event()
        self._closing = threading.Event()
        self._seen: str | None = None
        self._complained: str | None = None
        self._thread = threading.Thread(target=self._run, name="champion", daemon=True)
        self.current: Champion | None = None
        """The champion, fetched and ready to score; None if there is none or it does not fit."""

    def start(self) -> None:
        """Begin to watch; waits for the first look, but not for a server that does not answer."""
        self._thread.start()
        self._looked.wait(FIRST_LOOK_S)

    def close(self) -> None:
        """Stop; a fetch that is under way is left to itself."""
        self._closing.set()

    def _run(self) -> None:
        while not self._closing.is_set():
            self._look()
            self._looked.set()
            self._closing.wait(self._poll_s)

    def _look(self) -> None:
        try:
            version = champion_of(self._client, self._name)
            if version != self._seen:
                self._follow(version)
        except _UNREACHABLE as error:
            log.debug("the champion is not known, MLflow did not answer: %s", error)

    def _follow(self, version: str | None) -> None:
        if version is not None or self._seen is not None:
            note_moves(self._client, self._name)
        try:
            self.current = None if version is None else self._fetched(version)
            log.info("champion of %s: %s", self._name, version or "none")
        except UserError as error:
            self.current = None
            log.warning("%s", error)
        self._seen = version
        self._noticed(self.current.version if self.current else None)

    def _fetched(self, version: str) -> Champion:
        scratch = Path(tempfile.mkdtemp(prefix="millstream-champion-"))
        try:
            source = self._client.get_model_version_download_uri(self._name, version)
            place = mlflow.artifacts.download_artifacts(
                f"{source}/artifacts/model",
                dst_path=str(scratch),
                tracking_uri=str(self._client.tracking_uri),
            )
            scorer = Scorer.load(Path(place))
        except _UNREACHABLE as error:
            if self._complained != version:
                log.warning("%s", _not_loaded(self._name, version, error))
            self._complained = version
            raise  # It is tried again: the server may have gone in between.
        except (KeyError, ValueError, TypeError, RuntimeError, SafetensorError) as error:
            raise _not_loaded(self._name, version, error) from error
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        scorer.model.to(self._device)
        return Champion(version, scorer, self._layout)


def _not_loaded(name: str, version: str, error: Exception) -> UserError:
    return UserError(
        f"{name}, version {version}: expected a champion that a learner registered, received one "
        f"that cannot be loaded ({error}). It is not scored in shadow; who serves is for a person "
        "to decide (millstream models promote, or rollback)."
    )
