"""The loop over epochs: plan, run, commit; resume where a crash left it."""

import fcntl
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import pyarrow.parquet as pq

from pipelines.drivers.direct.epoch import Epoch, EpochRunner
from pipelines.drivers.direct.journal import Commit, Journal, Plan
from pipelines.drivers.direct.planner import Planner
from pipelines.drivers.direct.readings import ReadingLog
from pipelines.drivers.direct.state_store import StateStore
from pipelines.reports import Report
from pipelines.similarity.encoder import encoder_of
from pipelines.sinks import WindowSink
from pipelines.sources.files import FilesSource
from pipelines.steps.step import FINAL_CUT
from schemas.durable import read_json, write_bytes, write_json
from schemas.errors import UserError
from schemas.spec import Spec, spec_digest
from schemas.windows.names import FINAL_MARK

STATE_VERSION = 3

Watch = Callable[["Progress"], None]


@dataclass(frozen=True)
class DirectSettings:
    """A run of the direct driver. `follow` keeps polling; `final` declares the input complete."""

    spec: Spec
    source: Path
    windows: Path
    state: Path
    shards: int = 16
    epoch_rows: int = 600_000
    follow: bool = False
    final: bool = False
    poll_s: float = 1.0


@dataclass(frozen=True)
class Progress:
    """What one epoch did, and the totals so far."""

    epoch: int
    rows: int
    sealed: tuple[str, ...]
    seconds: float
    unread_rows: int
    totals: Counter[str]


@dataclass(frozen=True)
class Summary:
    """What is true when a run ends."""

    epochs: int
    sealed: int
    totals: Counter[str] = field(default_factory=Counter)
    final: bool = False


def run(settings: DirectSettings, watch: Watch = lambda progress: None) -> Summary:
    """Run epochs until the source is drained, or for ever if it follows.

    SIGTERM and SIGINT end it after the epoch at hand. Raises UserError if the state belongs to
    another spec or is in use, if the input was declared complete before, if a folder cannot be
    read or written, or if what the spec's text encoder needs is not installed.
    """
    _check_encoder(settings.spec)
    with _locked(settings.state), _stoppable() as stopped:
        _check_identity(settings)
        return _Loop(settings, watch).run(stopped)


class _Loop:
    """One run: its journal, its planner, and how far it is."""

    def __init__(self, settings: DirectSettings, watch: Watch) -> None:
        self.settings, self.watch = settings, watch
        self.source = FilesSource(settings.source, settings.spec)
        self.planner = Planner(settings.spec, self.source, settings.epoch_rows, settings.final)
        self.journal = Journal(settings.state / "journal")
        self.readings = ReadingLog(self.journal.root)
        self.store = StateStore(settings.state / "shards")
        self.runner = EpochRunner(settings.spec, self.source, self.store, settings.shards)
        self.commit = self.journal.last()
        self.epochs, self.sealed = 0, 0

    def run(self, stopped: Callable[[], bool]) -> Summary:
        """Epoch after epoch."""
        while not stopped():
            plan = self._plan()
            if plan is not None:
                self._epoch(plan)
            elif self.settings.follow and not self.commit.final:
                time.sleep(self.settings.poll_s)
            else:
                break
        if self.commit.final:
            write_bytes(self.settings.windows / FINAL_MARK, b"")
        totals = Counter(self.commit.counts)
        return Summary(self.epochs, self.sealed, totals, self.commit.final)

    def _plan(self) -> Plan | None:
        pending = self.journal.pending(self.commit.epoch)
        if pending is not None:
            return pending
        plan = self.planner.next(self.commit, time.time_ns() // 1_000_000)
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
        report = self.runner.run(Epoch(plan, self._sink(), self._ticks(plan)))
        self._keep_dead_letters(plan, report)
        self.commit = _after(self.commit, plan, report)
        self.journal.commit(self.commit)
        for step in self.store.steps():
            self.store.forget(step, plan.epoch)
        self.epochs, self.sealed = self.epochs + 1, self.sealed + len(report.sealed)
        self.watch(self._progress(plan, report, time.monotonic() - started))

    def _sink(self) -> WindowSink:
        settings, newest = self.settings, self.commit.newest_ms
        watermark_ms = newest if newest is None else newest - settings.spec.time.slack_ms
        return WindowSink(settings.spec, settings.windows, settings.shards, watermark_ms)

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

    def _progress(self, plan: Plan, report: Report, seconds: float) -> Progress:
        return Progress(
            epoch=plan.epoch,
            rows=sum(one.rows_estimate for one in plan.ranges),
            sealed=report.sealed,
            seconds=seconds,
            unread_rows=self.planner.unread_rows(self.commit),
            totals=Counter(self.commit.counts),
        )


def _after(commit: Commit, plan: Plan, report: Report) -> Commit:
    """The commit that a plan and its report make of the one before."""
    offsets = dict(commit.offsets)
    for one in plan.ranges:
        offsets[one.name] = max(one.stop, offsets.get(one.name, 0))
    times = [time_ms for time_ms in (commit.newest_ms, report.newest_ms) if time_ms is not None]
    return Commit(
        epoch=plan.epoch,
        offsets=offsets,
        cut=plan.cut,
        newest_ms=max(times, default=None),
        counts=dict(sorted((Counter(commit.counts) + report.counts).items())),
        final=plan.cut >= FINAL_CUT,
    )


def _check_encoder(spec: Spec) -> None:
    if spec.target is not None and spec.target.searchify is not None:
        encoder_of(spec.target.searchify.encoder)


def _check_identity(settings: DirectSettings) -> None:
    """State, spec and shard count belong together from the first epoch on."""
    path = settings.state / "identity.json"
    mine = {
        "spec": spec_digest(settings.spec),
        "shards": settings.shards,
        "state_version": STATE_VERSION,
    }
    if not path.exists():
        write_json(path, mine)
        return
    there = read_json(path)
    for name, value in mine.items():
        if there.get(name) != value:
            raise UserError(
                f"{path}: expected {name} {value!r}, received {there.get(name)!r}. This state was "
                "made by another set-up: run with the same spec and --shards as before, or give "
                "an empty --state and an empty --windows."
            )


@contextmanager
def _locked(state: Path) -> Iterator[None]:
    """One pipeline per state folder."""
    try:
        state.mkdir(parents=True, exist_ok=True)
        lock = (state / "lock").open("w")
    except OSError as error:
        raise UserError(
            f"{state}: expected a folder to keep the pipeline's state in, received: "
            f"{error.strerror}. Give --state a folder that you may write to."
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(
                f"{state}: expected a state folder that nobody uses, received one that another "
                "pipeline works on. Stop it first, or give this one a --state of its own."
            ) from error
        yield


@contextmanager
def _stoppable() -> Iterator[Callable[[], bool]]:
    """Whether SIGTERM or SIGINT asked for the end."""
    asked: list[int] = []

    def ask(signum: int, _: FrameType | None) -> None:
        asked.append(signum)

    before = {one: signal.signal(one, ask) for one in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield lambda: bool(asked)
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
