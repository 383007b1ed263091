"""The pipeline's metrics, made of its last status when somebody asks."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector

from millstream.monitor.board import Board
from millstream.monitor.endpoint import Health
from pipelines.drivers.direct import Status
from pipelines.steps.step import NO_CUT

STUCK_S = 600.0
"""An epoch is bounded and takes seconds; one that takes so long is stuck."""

COUNTERS: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "accepted": ("events_accepted", "Events read and accepted, copies included", ("stream",)),
    "dead": ("dead_letters", "Events refused", ("stream", "reason")),
    "late": ("events_late", "Events read after their cut and not refused", ("stream",)),
    "duplicate": ("events_duplicate", "Copies of events", ()),
    "windows": ("windows_sealed", "Windows sealed", ()),
    "divergent": ("windows_divergent", "Windows that stood with other content", ()),
    "revisions": ("revisions", "Labels that changed after their window was sealed", ()),
    "label": ("labels", "Labels as windows showed them", ("task", "tier")),
}
"""Kinds of counts: their metric, its help, and what the parts after the slash are called."""

OTHER = "millstream_pipeline_counted"


@dataclass(frozen=True, eq=False)  # a registry tells its collectors apart by identity
class PipelineCollector(Collector):
    """Metrics of what stands on a board; `now_s` is the clock of the day, in seconds."""

    board: Board[Status]
    now_s: Callable[[], float] = time.time

    def collect(self) -> Iterator[Metric]:
        """All metrics; none before the run has looked at its source."""
        status = self.board.value
        if status is None:
            return
        yield from counters_of(status.commit.counts)
        yield from self._gauges(status)
        yield _lag(status)
        yield _epochs(status)

    def _gauges(self, status: Status) -> Iterator[Metric]:
        """Those of which there is one each; none for what is not known yet."""
        values = {
            "source_up": ("Whether the source answers", float(status.answers())),
            "status_age_seconds": ("Since the run last told how it stands", self.board.age_s),
            "state_bytes": ("Size of the state folder", float(status.state_bytes())),
            **_of_epochs(status),
            **_of_time(status, self.now_s()),
        }
        for name, (text, value) in values.items():
            if value is not None:
                yield GaugeMetricFamily(f"millstream_pipeline_{name}", text, value)


Gauges = dict[str, tuple[str, float | None]]


def _of_epochs(status: Status) -> Gauges:
    commit = status.commit
    return {
        "epoch": ("The last committed epoch", commit.epoch),
        "last_epoch_seconds": ("How long the last epoch took", status.work.last_seconds),
        "open_windows": ("Windows begun and not sealed", len(commit.open_windows)),
        "final": ("Whether the input is complete and sealed", float(commit.final)),
    }


def _of_time(status: Status, now_s: float) -> Gauges:
    watermark_s = _seconds(status.standing.watermark_ms)
    has_cut = status.commit.cut != NO_CUT and not status.commit.final
    sealed = status.last_sealed
    return {
        "watermark_timestamp_seconds": ("No event before it is to come", watermark_s),
        "watermark_age_seconds": (
            "Clock less watermark",
            None if watermark_s is None else now_s - watermark_s,
        ),
        "cut_timestamp_seconds": (
            "The last cut that was evaluated",
            status.commit.cut / 1_000 if has_cut else None,
        ),
        "last_sealed_window_timestamp_seconds": (
            "Start of the last sealed window",
            None if sealed is None else _seconds(sealed.start_ms),
        ),
        "last_sealed_delay_seconds": (
            "When the last window was sealed, less its cut",
            None if sealed is None else sealed.delay_s,
        ),
    }


def registry_of(board: Board[Status]) -> CollectorRegistry:
    """The pipeline's metrics and those of its process: memory, processor time, open files."""
    registry = CollectorRegistry()
    registry.register(PipelineCollector(board))
    ProcessCollector(registry=registry)
    return registry


def health_of(board: Board[Status]) -> Health:
    """Well while the run moves, or waits for a cluster that does not answer."""
    status = board.value
    answers = status is None or status.answers()
    facts = {"told_seconds_ago": round(board.age_s, 1), "source_answers": answers}
    if status is not None:
        facts |= {"epoch": status.commit.epoch, "final": status.commit.final}
    return Health(board.age_s < STUCK_S or not answers, facts)


def counters_of(counts: Mapping[str, int]) -> Iterator[Metric]:
    """Counters of a run's totals; what has no metric of its own stands under its name."""
    families = {
        kind: CounterMetricFamily(f"millstream_pipeline_{name}", text, labels=labels)
        for kind, (name, text, labels) in COUNTERS.items()
    }
    other = CounterMetricFamily(OTHER, "What else a run counts, by its name", labels=("name",))
    for name, count in counts.items():
        kind, *parts = name.split("/")
        labels = COUNTERS[kind][2] if kind in COUNTERS else None
        if labels is not None and len(labels) == len(parts):
            families[kind].add_metric(parts, count)
        else:
            other.add_metric([name], count)
    yield from families.values()
    yield other


def _lag(status: Status) -> Metric:
    text = "What waits to be read: messages of a partition, or rows of a stream's files"
    family = GaugeMetricFamily("millstream_pipeline_lag", text, labels=("partition",))
    for name, waiting in status.standing.lag.items():
        family.add_metric([name], waiting)
    return family


def _epochs(status: Status) -> Metric:
    return SummaryMetricFamily(
        "millstream_pipeline_epoch_seconds",
        "Epochs of this process and the time that they took",
        count_value=status.work.epochs,
        sum_value=status.work.seconds,
    )


def _seconds(time_ms: int | None) -> float | None:
    return None if time_ms is None else time_ms / 1_000
