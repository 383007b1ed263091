"""The tables of one model by name; features that name the same table share its rows."""

from collections.abc import Callable

from torch import nn

from models.layout import Layout
from models.tables.base import EmbeddingTable

ITEM = "item"
"""The table of item ids, which candidates and sequences share."""


class Tables(nn.Module):
    """One table for item ids and one for each table that a feature of the layout names.

    Args:
        layout: whose `id` and `ids` fields need tables.
        make: builds an empty table.
    """

    def __init__(self, layout: Layout, make: Callable[[], EmbeddingTable]) -> None:
        super().__init__()
        self.by_name = nn.ModuleDict({_key(name): make() for name in table_names(layout)})

    def __getitem__(self, name: str) -> EmbeddingTable:
        table = self.by_name[_key(name)]
        assert isinstance(table, EmbeddingTable)
        return table


def tables_in(model: nn.Module) -> dict[str, EmbeddingTable]:
    """Every table of a model under the module's own name."""
    return {n: one for n, one in model.named_modules() if isinstance(one, EmbeddingTable)}


def table_names(layout: Layout) -> tuple[str, ...]:
    """Names of all tables, `item` among them, in alphabetical order."""
    fields = (*layout.request, *layout.candidate, *layout.action)
    return tuple(sorted({ITEM} | {field.table for field in fields if field.type != "number"}))


def _key(name: str) -> str:
    # The prefix keeps names such as "items" or "type" apart from ModuleDict's own attributes.
    return f"table_{name}"
