"""Step 1, by user: deduplicate, attribute, label, seal (design rules 1, 2, 4 to 8)."""

from pipelines.steps.attribute.step import AttributeStep

__all__ = ["AttributeStep"]
