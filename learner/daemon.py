"""The learner as a process: windows in, checkpoints, metrics and versions out."""

import json
import logging
import threading
from collections.abc import Callable

from mlflow.tracking import MlflowClient

from learner import state
from learner.champion_watch import ChampionWatch
from learner.config import learner_config
from learner.device import chosen_device
from learner.feed import Feed
from learner.gate import gate_config
from learner.lock import locked
from learner.loop import Loop, StateFolder, standing
from learner.order import Order
from learner.outbox import Outbox
from learner.settings import LearnerSettings, Summary
from learner.status import Pulse, Status
from learner.stopping import stop_on_signals
from learner.tracking import RunSpec, Tracker
from learner.trainer import Identity, Trainer
from learner.warm_start import WarmStart, warm_start
from learner.writer import Writer
from models.layout import Layout
from schemas.durable import write_json
from schemas.errors import StoreError
from schemas.spec import Spec, load
from schemas.windows.names import FINAL_MARK
from schemas.windows.store import WindowStore

log = logging.getLogger(__name__)


def run(settings: LearnerSettings, told: Callable[[Status], None] = lambda _: None) -> Summary:
    """Learn until there is nothing left, or until SIGTERM or SIGINT.

    `told` is called with how the learner stands after every batch, and while it waits.

    Raises UserError for whatever a person can mend: spec, settings, state or windows.
    """
    with locked(settings.state), stop_on_signals() as stop:
        return Daemon(settings, stop, told).run()


class Daemon:
    """One learner, put together from its settings."""

    def __init__(
        self,
        settings: LearnerSettings,
        stop: threading.Event,
        told: Callable[[Status], None] = lambda _: None,
    ) -> None:
        spec = load(settings.spec)
        config = learner_config(spec, settings.model, str(settings.spec))
        identity = Identity.of(spec, settings.model, settings.preset, config)
        self.settings = settings
        self.stop = stop
        self.trainer = Trainer(spec, identity, chosen_device(settings.device))
        self.folder = StateFolder.of(settings)
        self.client = MlflowClient(tracking_uri=settings.mlflow, registry_uri=settings.mlflow)
        self.registered_model = settings.registered_model or f"{spec.name}-{settings.model}"
        self.tracker = self._tracker(spec, identity)
        self.outbox = Outbox(
            self.client,
            self.tracker,
            self.folder.journal,
            self.folder.versions,
            self.registered_model,
            settings.keep_versions,
            self.folder.checkpoints.pins,
        )
        self.warm_start: WarmStart | None = None
        self.store = WindowStore(settings.windows)
        layout = Layout.of(spec)
        self.watch = ChampionWatch(
            self.client,
            self.registered_model,
            layout,
            self.trainer.device,
            settings.champion_s,
            noticed=lambda version: write_json(
                settings.state / "champion.json", {"scored_in_shadow": version}
            ),
        )
        self.writer = Writer(self.folder.checkpoints)
        self.pulse = Pulse(told)
        self.order = Order(settings.gap_wait_s)
        self.loop = Loop(
            settings,
            self.trainer,
            Feed(self.store, spec, layout, config.batch_users),
            self.folder,
            self.writer,
            self.outbox.wake,
            self.stop.is_set,
            lambda: self.watch.current,
            gate_config(spec, str(settings.spec)),
            self.pulse,
        )

    def run(self) -> Summary:
        """Resume, learn, report."""
        self._resume()
        begun = self.trainer.progress.step
        self.pulse.tell(mail=self.outbox.mail, **standing(self.trainer))
        self.outbox.start()
        self.watch.start()
        try:
            with self.writer:
                self._learn()
                self.loop.end()
        finally:
            self.watch.close()
            unsent = self.outbox.close(self.settings.mlflow_patience_s)
            if unsent:
                log.warning("%d entries or versions wait for MLflow until the next start", unsent)
        return self._summary(begun, unsent)

    def _resume(self) -> None:
        saved = self.folder.checkpoints.newest()
        journal_bytes = state.restore(self.trainer, saved) if saved else 0
        if saved is None and self.settings.from_checkpoint is not None:
            self.warm_start = warm_start(self.trainer, self.settings.from_checkpoint)
        self.folder.journal.cut(journal_bytes)
        self.tracker.cut(journal_bytes)

    def _learn(self) -> None:
        try:
            while not self.stop.is_set():
                final = (self.settings.windows / FINAL_MARK).exists()
                self._consume_sealed(final or self.settings.mode == "once")
                if self.settings.mode == "once" or (final and self.settings.until_final):
                    break
                self._tell_waiting()
                self.stop.wait(self.settings.poll_s)
        except StoreError:
            self.loop.checkpoint()
            raise
        if self.stop.is_set():
            self.loop.checkpoint()
        else:
            self.loop.register()

    def _consume_sealed(self, final: bool) -> None:
        if self.settings.mode == "follow" and not self.settings.windows.exists():
            return
        sealed = self.store.windows()
        self.order.check(self.trainer.progress, sealed)
        ahead = Feed.after(self.trainer.progress.cursor, sealed)
        for at, manifest in enumerate(ahead):
            self.pulse.tell(windows_waiting=len(ahead) - at)
            if not (final or self.order.may_take(self.trainer.progress.cursor, manifest)):
                return
            if not self.loop.consume(manifest):
                return
        self.pulse.tell(windows_waiting=0)

    def _tell_waiting(self) -> None:
        champion = self.watch.current
        self.pulse.tell(
            doing="waiting",
            champion=champion.version if champion else None,
            saved_at_s=self.writer.saved_at_s,
        )

    def _tracker(self, spec: Spec, identity: Identity) -> Tracker:
        values = identity.to_json()
        params = {key: v if isinstance(v, str) else json.dumps(v) for key, v in values.items()}
        run = RunSpec(
            experiment=self.settings.experiment or spec.name,
            name=f"{spec.name}-{identity.model}",
            params=params,
            tags={"spec_digest": identity.spec_digest, "model": identity.model},
        )
        file = self.settings.state / "tracking.json"
        return Tracker(self.client, run, self.folder.journal, file)

    def _summary(self, begun: int, unsent: int) -> Summary:
        return Summary(
            windows=self.trainer.progress.step - begun,
            samples=self.pulse.status.samples,
            lineage_id=self.trainer.progress.lineage,
            run_id=self.tracker.known_run_id,
            registered_model=self.registered_model,
            versions=tuple(self.outbox.registered),
            unsent=unsent,
            stopped=self.stop.is_set(),
            warm_start=self.warm_start,
        )
