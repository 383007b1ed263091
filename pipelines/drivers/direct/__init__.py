"""The direct driver: bounded epochs on Beam's DirectRunner, journaled and committed atomically."""

from pipelines.drivers.direct.run import DirectSettings, Summary, run

__all__ = ["DirectSettings", "Summary", "run"]
