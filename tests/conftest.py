"""For all tests: one thread each, an example may take its time, there is one Flink cluster."""

import os

from hypothesis import HealthCheck, settings

from tests.flink_server import flink

__all__ = ["flink"]

# Tests and the processes that they start share the cores already: a team of threads that waits
# for its last member makes a small product a hundred times slower. Read when torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

settings.register_profile("millstream", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("millstream")
