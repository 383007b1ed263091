"""Which tables a model gets: one decision for all of them, made by preset and spec."""

from dataclasses import dataclass, fields, replace
from typing import Literal, get_args

from models.base import ModelError
from models.layout import Layout
from models.tables.base import EmbeddingTable
from models.tables.growing import GrowingTable
from models.tables.hashed import HashedTable
from models.tables.named import Tables
from schemas.spec.table import near_match

Kind = Literal["growing", "hashed"]


@dataclass(frozen=True)
class TableConfig:
    """What all tables of a model are like, but for their width. Time is counted in windows.

    Raises:
        ModelError: a kind that does not exist, or a number that makes no sense.
    """

    rows: int
    """The most rows a table may have: its budget. A growing one takes memory as ids come."""
    std: float
    """Standard deviation of a table's initial rows: how much noise an unseen id adds."""
    kind: Kind = "growing"
    """`growing`: a row of its own for each id. `hashed`: ids share a fixed number of rows."""
    admit_after: int = 1
    """Growing: look-ups, the one at hand counted, until an id has a row of its own."""
    expire_after: int = 0
    """Growing: windows without a look-up that an id survives; 0: any number."""

    def __post_init__(self) -> None:
        kinds = get_args(Kind)
        if self.kind not in kinds:
            hint = near_match(self.kind, kinds)
            raise ModelError(f"tables.kind: expected a kind, received {self.kind!r}{hint}")
        for field, least in (("rows", 1), ("std", 0), ("admit_after", 1), ("expire_after", 0)):
            if not getattr(self, field) >= least:
                raise ModelError(
                    f"tables.{field}: expected a number of {least} or more, "
                    f"received {getattr(self, field)!r}"
                )
        if self.kind == "hashed":
            self._refuse_what_only_growing_tables_read()

    def _refuse_what_only_growing_tables_read(self) -> None:
        for field in fields(self):
            given = getattr(self, field.name)
            if field.name in ("admit_after", "expire_after") and given != field.default:
                raise ModelError(
                    f"tables.{field.name}: expected kind = 'growing', for the ids of hashed "
                    f"tables neither come nor go, received {given!r}. Leave it out, or change kind."
                )


def tables_for(layout: Layout, config: TableConfig, dim: int) -> Tables:
    """The tables that the features of a layout and its items need, `dim` wide."""
    return Tables(layout, lambda: _table(config, dim))


def tables_by_scale(
    layout: Layout, config: TableConfig, dim: int, scale: float
) -> tuple[Tables, Tables | None]:
    """The same, and those of actions if they are others: where their rows count `scale` ≠ 1 times.

    As a step of Adagrad does not depend on the gradient's scale, embeddings of actions then move
    that much slower than those of candidates. With 1 an item has one row for both.
    """
    if scale == 1:
        return tables_for(layout, config, dim), None
    of_actions = replace(layout, request=(), candidate=())
    return (
        tables_for(replace(layout, action=()), config, dim),
        tables_for(of_actions, config, dim),
    )


def _table(config: TableConfig, dim: int) -> EmbeddingTable:
    if config.kind == "hashed":
        return HashedTable(config.rows, dim, config.std)
    return GrowingTable(
        config.rows, dim, config.std, config.admit_after, config.expire_after or None
    )
