"""The loop over epochs: plan, run, commit; resume where a crash left it."""

import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.parquet as pq

from pipelines.drivers.direct.epoch import Epoch, EpochRunner
from pipelines.drivers.direct.files_planner import FilesPlanner
from pipelines.drivers.direct.guards import locked, stoppable
from pipelines.drivers.direct.identity import Identity, adopted, rescaled, stored_identity
from pipelines.drivers.direct.journal import Journal, Plan
from pipelines.drivers.direct.kafka_planner import KafkaPlanner
from pipelines.drivers.direct.planner import Planner, Standing
from pipelines.drivers.direct.readings import ReadingLog
from pipelines.drivers.direct.state_store import StateStore
from pipelines.drivers.direct.status import Status, Work, newest_sealed, sealed_window
from pipelines.reports import Report
from pipelines.similarity.encoder import encoder_of
from pipelines.sinks import WindowSink
from pipelines.sources.files import FilesSource
from pipelines.sources.kafka.address import is_kafka
from pipelines.sources.kafka.source import KafkaSource
from pipelines.sources.source import Source, Stopped
from schemas.durable import write_bytes
from schemas.errors import UserError
from schemas.spec import Spec
from schemas.windows.names import FINAL_MARK, window_start

CURRENT = 0.25
"""While no more than this share of an epoch's rows waits, sealing is more urgent than reading."""

BUSY_ROWS = 20_000
"""An epoch of so many events is followed by the next one without a rest."""

Watch = Callable[[Status], None]
"""Told after every epoch, and after every look at the source that found nothing to do."""


@dataclass(frozen=True)
class DirectSettings:
    """A run of the direct driver. `follow` keeps polling; `final` declares the input complete.

    Without a number of `shards` it is that of the state, or 16 in a new one.
    `source` is a folder or `kafka://HOST:PORT`. If that never answers, a run that does not follow
    gives up after `contact_s`.
    """

    spec: Spec
    source: Path | str
    windows: Path
    state: Path
    shards: int | None = None
    epoch_rows: int = 500_000
    follow: bool = False
    final: bool = False
    poll_s: float = 1.0
    contact_s: float = 60.0


@dataclass(frozen=True)
class Summary:
    """What is true when a run ends."""

    epochs: int
    sealed: int
    totals: Counter[str] = field(default_factory=Counter)
    final: bool = False


def run(settings: DirectSettings, watch: Watch = lambda status: None) -> Summary:
    """Run epochs until the source is drained, or for ever if it follows.

    SIGTERM and SIGINT end it after the epoch at hand. Raises UserError if the spec did not grow
    from that of the state, if the state is in use, if the input was declared complete before, if
    a folder cannot be read or written, or if what the spec's text encoder needs is not installed.
    """
    _check_encoder(settings.spec)
    with locked(settings.state), stoppable() as stopped:
        identity = adopted(settings.state, settings.spec, settings.shards)
        source, planner = opened(settings, stopped)
        with closing(source):
            return _Loop(settings, identity, source, planner, watch).run(stopped)


def rescale(state: Path, shards: int) -> int:
    """Deal the state of a pipeline that does not run out to so many shards; how many it had.

    Raises UserError, before anything is touched, if it is in use or cannot be dealt out now.
    """
    if not (state / "identity.json").exists():
        raise UserError(f"{state}: expected the state of a pipeline, received none there")
    with locked(state):
        before = stored_identity(state)
        rescaled(state, shards)
        return before.shards if before else shards


def opened(settings: DirectSettings, stopped: Callable[[], bool]) -> tuple[Source, Planner]:
    """The source that the settings name, and who plans epochs over it."""
    spec, rows = settings.spec, settings.epoch_rows
    address = str(settings.source)
    if not is_kafka(address):
        files = FilesSource(Path(settings.source), spec)
        return files, FilesPlanner(spec, files, rows, settings.final)
    once = not settings.follow
    contact_s = settings.contact_s if once else None
    kafka = KafkaSource(address, spec, stopped=stopped, patience_s=contact_s)
    current = int(rows * CURRENT)
    return kafka, KafkaPlanner(spec, kafka, rows, once, settings.final, current_rows=current)


class _Loop:
    """One run: its journal, its planner, and how far it is."""

    def __init__(
        self,
        settings: DirectSettings,
        identity: Identity,
        source: Source,
        planner: Planner,
        watch: Watch,
    ) -> None:
        self.settings, self.planner, self.watch = settings, planner, watch
        self.source, self.shards = source, identity.shards
        self.journal = Journal(settings.state / "journal")
        self.readings = ReadingLog(self.journal.root)
        self.store = StateStore(identity.folder(settings.state))
        self.runner = EpochRunner(settings.spec, source, self.store, identity.shards_of_state)
        self.commit = self.journal.last()
        self.work = Work()
        self.last_sealed = newest_sealed(settings.windows)

    def run(self, stopped: Callable[[], bool]) -> Summary:
        """Epoch after epoch."""
        with suppress(Stopped):
            while not stopped():
                pause_s = self._step()
                if pause_s is None:
                    break
                time.sleep(pause_s)
        self.store.forget(self.commit.epoch)
        if self.commit.final:
            write_bytes(self.settings.windows / FINAL_MARK, b"")
        totals = Counter(self.commit.counts)
        return Summary(self.work.epochs, self.work.sealed, totals, self.commit.final)

    def _step(self) -> float | None:
        """Run the next epoch, if there is one; how long to rest then, None if that was all."""
        follows, poll_s = self.settings.follow and not self.commit.final, self.settings.poll_s
        started = time.monotonic()
        plan = self._plan()
        if plan is not None:
            self._epoch(plan)
        standing = self._tell()
        if plan is not None:
            more = any(standing.lag.values()) or self._is_due(standing)
            if more or not follows or _is_busy(plan):
                return 0.0
            return max(0.0, poll_s - (time.monotonic() - started))
        if follows:
            return poll_s
        pause_s = self.planner.pause_s(self.commit, _now_ms)
        return None if pause_s is None else min(pause_s, poll_s)

    def _plan(self) -> Plan | None:
        pending = self.journal.pending(self.commit.epoch)
        if pending is not None:
            return pending
        plan = self.planner.next(self.commit, _now_ms)
        if plan is not None and self.commit.final:
            raise UserError(
                f"{self.settings.source}: expected nothing new, for this input was declared "
                f"complete with --final, received {len(plan.ranges)} unread ranges, first "
                f"{plan.ranges[0].name if plan.ranges else 'none'}. Start again with an empty "
                "--state and an empty --windows to include them."
            )
        return plan

    def _epoch(self, plan: Plan) -> None:
        started = time.monotonic()
        self.journal.plan(plan)
        self.readings.note(plan)
        report = self.runner.run(Epoch(plan, self._sink(plan), self._ticks(plan)))
        self._keep_dead_letters(plan, report)
        self.commit = self.commit.after(plan, report, self._open_windows(plan))
        self.journal.commit(self.commit)
        rows, seconds = sum(one.rows_estimate for one in plan.ranges), time.monotonic() - started
        self.work = self.work.with_epoch(rows, len(report.sealed), seconds)
        if report.sealed:
            newest = max(report.sealed, key=lambda name: window_start(name) or 0)
            self.last_sealed = sealed_window(self.settings.windows / newest)

    def _tell(self) -> Standing:
        """Tell who watches how the run stands."""
        standing = self.planner.standing(self.commit, _now_ms)
        state, answers = self.settings.state, self.source.answers
        status = Status(self.commit, standing, self.work, self.last_sealed, state, answers)
        self.watch(status)
        return standing

    def _is_due(self, standing: Standing) -> bool:
        """Whether what was read lets another cut be evaluated."""
        watermark_ms, window = standing.watermark_ms, self.settings.spec.window
        return watermark_ms is not None and window.cut_at_or_before(watermark_ms) > self.commit.cut

    def _open_windows(self, plan: Plan) -> set[int]:
        """The windows that hold a request once a plan was run, and whose cut is yet to come."""
        held = {*self.commit.open_windows, *self.runner.begun}
        return {start for start in held if self.settings.spec.window.cut(start) > plan.cut}

    def _sink(self, plan: Plan) -> WindowSink:
        settings = self.settings
        return WindowSink(settings.spec, settings.windows, self.shards, plan.watermark_ms)

    def _ticks(self, plan: Plan) -> dict[str, list[int]]:
        """Shards that must advance though nothing was read for them: their cut has come."""
        if plan.cut <= self.commit.cut:
            return {}
        return {step: self.store.shards(step) for step in self.store.steps()}

    def _keep_dead_letters(self, plan: Plan, report: Report) -> None:
        letters = report.letters()
        if letters.num_rows:
            folder = self.settings.windows / "dead_letters"
            folder.mkdir(parents=True, exist_ok=True)
            draft = folder / f".{plan.epoch:06d}.tmp"
            pq.write_table(letters, draft)
            draft.replace(folder / f"{plan.epoch:06d}.parquet")


def _is_busy(plan: Plan) -> bool:
    """Whether events come so fast that to wait for more would only make their windows late."""
    return sum(one.rows_estimate for one in plan.ranges) >= BUSY_ROWS


def _check_encoder(spec: Spec) -> None:
    if spec.target is not None and spec.target.searchify is not None:
        encoder_of(spec.target.searchify.encoder)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
