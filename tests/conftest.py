"""For all tests: an example may take its time on a busy machine."""

from hypothesis import HealthCheck, settings

settings.register_profile("millstream", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("millstream")
