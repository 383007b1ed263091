"""The learner's metrics, made of its last status when somebody asks."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from learner.status import Status
from millstream.monitor.board import Board
from millstream.monitor.endpoint import Health

STUCK_S = 600.0
"""A batch takes seconds at most, a look for windows too; who says nothing for so long is stuck."""

PREFIX = "millstream_learner_"
_UNKNOWN = Status()

Values = dict[str, tuple[str, float | None]]


@dataclass(frozen=True, eq=False)  # a registry tells its collectors apart by identity
class LearnerCollector(Collector):
    """Metrics of what stands on a board.

    `now_s` is the clock of the day, `clock_s` one that never goes back; both in seconds.
    """

    board: Board[Status]
    now_s: Callable[[], float] = time.time
    clock_s: Callable[[], float] = time.monotonic

    def collect(self) -> Iterator[Metric]:
        """All metrics; none before the learner has told anything."""
        status = self.board.value
        if status is None:
            return
        gauges = self._moments(status) | _standing(status) | _mail(status)
        for name, (text, value) in gauges.items():
            if value is not None:
                yield GaugeMetricFamily(PREFIX + name, text, value)
        for name, (text, value) in _sums(status).items():
            yield CounterMetricFamily(PREFIX + name, text, value)
        yield from _tables(status)
        yield _champion(status)

    def _moments(self, status: Status) -> Values:
        until_s = None if status.learned_until_ms is None else status.learned_until_ms / 1_000
        saved_s = status.saved_at_s
        return {
            "status_age_seconds": ("Since the learner last told how it stands", self.board.age_s),
            "learned_until_timestamp_seconds": (
                "Event time up to which all is in the weights",
                until_s,
            ),
            "freshness_seconds": (
                "Clock less that event time",
                None if until_s is None else self.now_s() - until_s,
            ),
            "checkpoint_age_seconds": (
                "Since this process last completed a checkpoint",
                None if saved_s is None else self.clock_s() - saved_s,
            ),
        }


def _standing(status: Status) -> Values:
    busy_s = max(status.loop_seconds, 1e-9)
    return {
        "working": ("Whether it scores or trains", float(status.doing != "waiting")),
        "windows_waiting": ("Windows sealed and not learned", status.windows_waiting),
        "windows_learned": ("Windows in the weights", status.windows_learned),
        "windows_skipped": ("Windows that rewinds passed over", status.windows_skipped),
        "loss": ("Loss of the last batch", status.loss),
        "batches_per_second": ("Steps a second in the newest window", status.batches_per_second),
        "samples_per_second": ("Samples a second in the newest window", status.samples_per_second),
        "device_memory_bytes": (
            "What tensors take on the accelerator",
            torch.cuda.memory_allocated() if torch.cuda.is_available() else None,
        ),
        "feed_wait_share": (
            "Share of the loop's time spent waiting for batches",
            status.feed_wait_seconds / busy_s,
        ),
        "checkpoint_stall_share": (
            "Share of the loop's time that checkpoints held it up",
            status.stall_seconds / busy_s,
        ),
    }


def _mail(status: Status) -> Values:
    mail = status.mail()
    return {
        "mlflow_up": ("Whether MLflow took what it was last sent", float(mail.error is None)),
        "mlflow_unsent": ("Metric entries and versions that MLflow does not have", mail.unsent),
    }


def _sums(status: Status) -> Mapping[str, tuple[str, float]]:
    return {
        "batches": ("Batches trained on by this process", status.batches),
        "samples": ("Samples trained on by this process", status.samples),
        "bad_batches": ("Batches skipped for a loss that was no number", status.bad_batches),
        "loop_seconds": ("Time spent with windows", status.loop_seconds),
        "feed_wait_seconds": ("Of it, waiting for batches", status.feed_wait_seconds),
        "checkpoint_stall_seconds": ("Of it, held up by checkpoints", status.stall_seconds),
    }


def _tables(status: Status) -> Iterator[Metric]:
    rows = GaugeMetricFamily(PREFIX + "table_rows", "Rows in use", labels=("table",))
    size = GaugeMetricFamily(PREFIX + "table_bytes", "Bytes of these rows", labels=("table",))
    for name, table in status.tables.items():
        rows.add_metric([name], table.rows)
        size.add_metric([name], table.bytes)
    yield from (rows, size)


def _champion(status: Status) -> Metric:
    family = GaugeMetricFamily(
        PREFIX + "champion", "1 for the version scored in shadow", labels=("version",)
    )
    if status.champion is not None:
        family.add_metric([status.champion], 1)
    return family


def registry_of(board: Board[Status]) -> CollectorRegistry:
    """The learner's metrics and those of its process: memory, processor time, open files."""
    registry = CollectorRegistry()
    registry.register(LearnerCollector(board))
    ProcessCollector(registry=registry)
    return registry


def health_of(board: Board[Status], stuck_s: float = STUCK_S) -> Health:
    """Well while the loop moves; it tells also while it waits for windows."""
    status = board.value or _UNKNOWN
    mail = status.mail()
    facts = {
        "told_seconds_ago": round(board.age_s, 1),
        "doing": status.doing,
        "windows_waiting": status.windows_waiting,
        "mlflow_unsent": mail.unsent,
        "mlflow_error": mail.error,
    }
    return Health(board.age_s < stuck_s, facts)
