"""Mergeable prequential metrics, per task and column: a scenario, a domain or an origin."""

from learner.metrics.scorecard import ALL, Scorecard, named
from learner.metrics.scored import Scored, joined

__all__ = ["ALL", "Scorecard", "Scored", "joined", "named"]
