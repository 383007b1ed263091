"""How long Beam waits for itself at the end of a bundle.

A thread looks which stage is at work, for metrics. Its rests grow with the bundle up to 200 ms,
and the bundle's end waits for the last one: a tenth of every short bundle is waiting. Beam 2.77
has no option for it.
"""

from apache_beam.runners.worker.statesampler import StateSampler

REST_MS = 5


def rest_briefly() -> None:
    """From now on that thread rests `REST_MS` at most, in all bundles of this process."""
    StateSampler.__init__.__defaults__ = (REST_MS,)
