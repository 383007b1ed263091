"""Apache Flink and Beam's job server on this machine, for a person to try and for tests."""

from infra.flink.cluster import Cluster, local_flink
from infra.jars import Missing

__all__ = ["Cluster", "Missing", "local_flink"]
