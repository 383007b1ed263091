"""Step 4, by user: sequences without leakage and one record per user (rules 11 and 12)."""

from pipelines.steps.aggregate.migrate import migrated, resharded
from pipelines.steps.aggregate.step import AggregateStep

__all__ = ["AggregateStep", "migrated", "resharded"]
