"""Step 1, by user: deduplicate, attribute, label, seal (design rules 1, 2, 4 to 8)."""

from pipelines.steps.attribute.migrate import migrated
from pipelines.steps.attribute.reshard import resharded
from pipelines.steps.attribute.step import AttributeStep

__all__ = ["AttributeStep", "migrated", "resharded"]
