"""Steps 2 and 3: queries and texts for requests made of foreign clicks (rule 10)."""

from pipelines.steps.resolve.by_cell import ResolveByCellStep
from pipelines.steps.resolve.by_item import ResolveByItemStep
from pipelines.steps.resolve.migrate import migrated, resharded, resharded_cells

__all__ = ["ResolveByCellStep", "ResolveByItemStep", "migrated", "resharded", "resharded_cells"]
