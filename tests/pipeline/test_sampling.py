"""A bundle's end does not wait for Beam's clock of stages."""

import time
from statistics import median

from apache_beam.runners.worker.statesampler import StateSampler
from apache_beam.utils.counters import CounterFactory

from pipelines.drivers.sampling import REST_MS, rest_briefly


def test_the_clock_of_a_bundle_stops_at_once() -> None:
    """As Beam makes it, it rests for a fifth of the bundle at its end."""
    rest_briefly()
    sampler = StateSampler("bundle", CounterFactory())
    assert sampler.sampling_period_ms == REST_MS
    waited_s = []
    for _ in range(5):
        sampler.start()
        time.sleep(0.3)
        begun_s = time.perf_counter()
        sampler.stop()
        waited_s.append(time.perf_counter() - begun_s)
        sampler.reset()
    assert median(waited_s) < 2 * REST_MS / 1_000
