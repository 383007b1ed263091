"""For all tests: an example may take its time on a busy machine; there is one Flink cluster."""

from hypothesis import HealthCheck, settings

from tests.flink_server import flink

__all__ = ["flink"]

settings.register_profile("millstream", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("millstream")
