"""Steps 2 and 3: queries and texts for requests made of foreign clicks (rule 10)."""

from pipelines.steps.resolve.by_cell import ResolveByCellStep
from pipelines.steps.resolve.by_item import ResolveByItemStep

__all__ = ["ResolveByCellStep", "ResolveByItemStep"]
