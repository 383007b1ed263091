"""The Flink driver: the same graph, its state and its cuts kept by a cluster."""

from pipelines.drivers.flink.run import FlinkSummary, run
from pipelines.drivers.flink.settings import FlinkSettings

__all__ = ["FlinkSettings", "FlinkSummary", "run"]
