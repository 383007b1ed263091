"""The learner's loop over one window: score, then train, with checkpoints and versions between."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from safetensors import SafetensorError

from learner import state
from learner.checkpoint import Checkpoints
from learner.feed import Feed
from learner.freshness import FRESHNESS, Freshness
from learner.gate import GateConfig, decide
from learner.interval import Interval
from learner.journal import Entry, Journal
from learner.logged import losses, scores, table_counts
from learner.progress import Progress, WindowRef
from learner.scoring import Verdict
from learner.settings import LearnerSettings
from learner.settled import Settling
from learner.shadow import Champion
from learner.staging import Version, served_tables, stage
from learner.status import Pulse, Table
from learner.trainer import Trainer
from learner.writer import Writer
from models.batch import UserBatch
from models.tables.base import Changes
from schemas.errors import StoreError, UserError
from schemas.windows.manifest import Manifest
from schemas.windows.store import WindowStore

log = logging.getLogger(__name__)

Item = TypeVar("Item")


@dataclass(frozen=True)
class StateFolder:
    """Everything a learner keeps on disk."""

    checkpoints: Checkpoints
    journal: Journal
    freshness: Freshness
    versions: Path
    predictions: Path

    @classmethod
    def of(cls, settings: LearnerSettings) -> "StateFolder":
        """The parts of a state folder, made if absent."""
        versions, predictions = settings.state / "versions", settings.state / "predictions"
        for folder in (versions, predictions):
            folder.mkdir(parents=True, exist_ok=True)
        checkpoints = Checkpoints(
            settings.state / "checkpoints",
            settings.keep_checkpoints,
            settings.whole_checkpoint_every,
        )
        journal = Journal(settings.state / "metrics.jsonl")
        freshness = Freshness(
            Journal(settings.state / FRESHNESS), WindowStore(settings.windows).folder
        )
        return cls(checkpoints, journal, freshness, versions, predictions)


class Loop:
    """Consumes windows one by one.

    Args:
        settings: how often to checkpoint and to register.
        trainer: the model and its state.
        feed: the windows as batches.
        folder: where state goes.
        writer: of its checkpoints.
        reported: called when there is something new for MLflow.
        champion: whom to score in shadow.
        gate: what decides about `challenger`.
        pulse: who is told how it goes.
        stopping: whether to stop after the batch at hand.
    """

    def __init__(
        self,
        settings: LearnerSettings,
        trainer: Trainer,
        feed: Feed,
        folder: StateFolder,
        writer: Writer,
        reported: Callable[[], None],
        stopping: Callable[[], bool],
        champion: Callable[[], Champion | None],
        gate: GateConfig,
        pulse: Pulse,
    ) -> None:
        self._settings = settings
        self._spec_text = settings.spec.read_text(encoding="utf-8")
        self._trainer = trainer
        self._feed = feed
        self._folder = folder
        self._reported = reported
        self._stopping = stopping
        self._champion = champion
        self._gate = gate
        self._interval = Interval(
            settings.register_every_windows,
            settings.register_every_samples,
            settings.register_when_better,
        )
        self._writer = writer
        self._settling = Settling.of(feed.spec, folder.predictions)
        self._pulse = pulse
        self._saved: Progress | None = None
        self._batches_since_checkpoint = 0
        self._shown: UserBatch | None = None
        """The largest batch trained on in the newest window: what a version's pictures are of."""

    def consume(self, manifest: Manifest) -> bool:
        """Score and train on a window, or on what is left of it; false if stopped midway."""
        self._pulse.tell(doing="scoring")
        self._feed.verify(manifest)
        self._expect_unchanged(manifest)
        return self._score(manifest) and self._train(manifest)

    def checkpoint(self, version: Version | None = None) -> None:
        """Begin to save the state, and before it the version that it is, unless it is saved."""
        self._batches_since_checkpoint = 0
        if self._trainer.progress is self._saved:
            return
        with self._pulse.counted("stall_seconds"):
            journal_bytes = self._folder.journal.flush()
            live = [table.live() for table in self._trainer.tables.values()]
            first = None if version is None else partial(self._stage, version)
            self._writer.write(state.snapshot(self._trainer, journal_bytes), live, first)
        self._saved = self._trainer.progress

    def register(self) -> None:
        """Begin to stage a version, if a window was learned since the last, and checkpoint."""
        if not self._trainer.progress.since_version:
            self.checkpoint()
            return
        decision = decide(self._trainer.since_version, self._trainer.layout, self._gate)
        log.info("gate %s: %s", decision.tags["gate"], decision.reason)
        with self._pulse.counted("stall_seconds"):
            version = Version.of(self._trainer, decision, self._spec_text, self._shown)
        self._trainer.begin_version()
        self.checkpoint(version)

    def end(self) -> None:
        """Wait for the disk, and leave nothing that no kept checkpoint needs."""
        self._writer.wait()
        self._settling.forget(self._folder.checkpoints)

    def _stage(self, version: Version, tables: Sequence[Sequence[Changes]]) -> None:
        """In the writer's thread: nothing of the trainer is read that training changes."""
        versions = self._folder.versions
        try:
            stage(versions, version, served_tables(self._trainer.tables, tables))
            self._reported()
        except (OSError, SafetensorError) as error:
            raise UserError(
                f"{versions}: expected room for a version, received: {error}. The last checkpoint "
                "is untouched. Make room, or move the state folder, and start the learner again: "
                "it goes on from there."
            ) from error

    def _score(self, manifest: Manifest) -> bool:
        if self._trainer.progress.current is not None:
            return True
        self._warn_of_what_is_lacking(manifest)
        judged = self._judged_and_kept if self._settling.needed else self._judged
        verdict = judged(manifest)
        if verdict is None:
            return False
        settled, revisions = self._settled(manifest)
        self._trainer.begin(manifest, verdict)
        self._write(manifest, scores(verdict, self._trainer) | revisions, settled)
        self._settling.forget(self._folder.checkpoints)
        return True

    def _judged(self, manifest: Manifest) -> Verdict | None:
        """What scoring a window found; None if stopped midway."""
        with self._feed.batches(manifest) as batches:
            scored = self._until_stopped(batch for _, batch in self._pulse.fed(batches))
            verdict = self._trainer.score(scored, self._shadowed())
        return None if self._stopping() else verdict

    def _judged_and_kept(self, manifest: Manifest) -> Verdict | None:
        """The same, with the predictions kept until the labels are closed."""
        step = self._trainer.progress.step
        keeping = self._settling.predictions.keeping(manifest.window_start_ms, step)
        with keeping as keeper, self._feed.keyed_batches(manifest) as batches:
            scored = keeper.noting(self._until_stopped(self._pulse.fed(batches)))
            verdict = self._trainer.score(scored, self._shadowed(), keeper.fold)
            if self._stopping():
                return None
            keeper.done()
        return verdict

    def _settled(self, manifest: Manifest) -> tuple[list[Entry], dict[str, float]]:
        """The entries of what closed by this window's cut; how many revisions it carries."""
        if not self._settling.needed:
            return [], {}
        revisions = self._feed.revisions(manifest)
        placed = self._settling.predictions.place(manifest.window_start_ms, revisions)
        counts = {
            "window/revisions": float(placed.revisions),
            "window/revisions_unmatched": float(placed.unmatched),
        }
        return self._settling.settled(manifest, self._trainer.progress), counts

    def _shadowed(self) -> Champion | None:
        """Whom to score beside the model now."""
        champion = self._champion()
        self._pulse.tell(champion=champion.version if champion else None)
        return champion

    def _train(self, manifest: Manifest) -> bool:
        self._pulse.begin_pass()
        self._shown = None
        with self._feed.batches(manifest, self._trainer.progress.cursor.records) as batches:
            for cursor, batch in self._pulse.fed(batches):
                loss = self._trainer.train(cursor, batch)
                self._tell(batch, loss)
                if self._shown is None or batch.n_samples > self._shown.n_samples:
                    self._shown = batch
                self._batches_since_checkpoint += 1
                if self._checkpoint_is_due():
                    self.checkpoint()
                if self._stopping():
                    return False
        self._finish(manifest)
        return True

    def _tell(self, batch: UserBatch, loss: float | None) -> None:
        self._pulse.trained(batch.n_samples, loss, self._trainer.progress.bad_batches)
        self._pulse.tell(saved_at_s=self._writer.saved_at_s)

    def _checkpoint_is_due(self) -> bool:
        """Not while the last one is being written: then the next batch asks again."""
        due = self._batches_since_checkpoint >= self._settings.checkpoint_every_batches
        return due and not self._writer.busy

    def _finish(self, manifest: Manifest) -> None:
        self._write(manifest, losses(self._trainer.progress) | table_counts(self._trainer))
        self._warn_of_full_tables(manifest)
        self._folder.freshness.learned(self._trainer.progress.step, manifest)
        self._trainer.finish()
        self._pulse.tell(**standing(self._trainer))
        log.info("window %d learned", manifest.window_start_ms)
        if self._version_is_due():
            self.register()

    def _version_is_due(self) -> bool:
        trainer, windows = self._trainer, self._trainer.progress.since_version
        return self._interval.is_over(windows, trainer.since_version, trainer.layout, self._gate)

    def _warn_of_what_is_lacking(self, manifest: Manifest) -> None:
        lacking = self._feed.lacking(manifest)
        if lacking:
            log.warning(
                "window %d: expected records of the spec, received some without %s: missing in "
                "all of its samples. It was built under a spec that had less; if that is not "
                "meant, build it again.",
                manifest.window_start_ms,
                ", ".join(lacking),
            )

    def _warn_of_full_tables(self, manifest: Manifest) -> None:
        for name, refused in self._trainer.refused.items():
            log.warning(
                "window %d: expected room in table %s for every id, received %d look-ups more "
                "that found none and read the row of rare ids. Raise `rows` or lower "
                "`expire_after` under [models.%s.tables], in an empty state folder.",
                manifest.window_start_ms,
                name,
                refused,
                self._trainer.identity.model,
            )

    def _until_stopped(self, batches: Iterable[Item]) -> Iterator[Item]:
        for batch in batches:
            self._pulse.tell()
            if self._stopping():
                return
            yield batch

    def _write(
        self, manifest: Manifest, metrics: dict[str, float], settled: Sequence[Entry] = ()
    ) -> None:
        step = self._trainer.progress.step
        entry = Entry(step, manifest.window_start_ms, manifest.window_end_ms, metrics)
        self._folder.journal.append(*settled, entry)
        self._reported()

    def _expect_unchanged(self, manifest: Manifest) -> None:
        current = self._trainer.progress.current
        if current is None or current == WindowRef.of(manifest):
            return
        received = manifest.digest
        if current.start_ms != manifest.window_start_ms:
            received = f"none, and next window {manifest.window_start_ms}"
        raise StoreError(
            f"window {current.start_ms}: expected the window that was half learned when the "
            f"learner stopped, manifest digest {current.digest}, received {received}. A sealed "
            "window must not change: restore it, or go back to a version from before it "
            "(millstream train rewind)."
        )


def standing(trainer: Trainer) -> dict[str, object]:
    """What a status says of the state between two windows."""
    progress = trainer.progress
    return {
        "windows_learned": progress.learned,
        "windows_skipped": len(progress.skipped),
        "learned_until_ms": progress.last.end_ms if progress.last else None,
        "bad_batches": progress.bad_batches,
        "tables": {
            name: Table(table.counts["rows"], table.memory_bytes)
            for name, table in trainer.tables.items()
        },
    }
