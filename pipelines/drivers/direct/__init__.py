"""The direct driver: bounded epochs on Beam's DirectRunner, journaled and committed atomically."""

from pipelines.drivers.direct.run import DirectSettings, Summary, rescale, run
from pipelines.drivers.direct.status import Status

__all__ = ["DirectSettings", "Status", "Summary", "rescale", "run"]
