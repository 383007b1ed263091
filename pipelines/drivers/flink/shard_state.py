"""A shard's tables in Beam's state cells, as Arrow IPC bytes.

Tables that never change are kept apart and written but once, as in the direct driver's files.
"""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pipelines import packets
from pipelines.steps.step import NO_CUT, SEGMENT, Tables

_CLOCK = "_last_cut"
"""Names the table with the last cut and with the names of the tables that rest apart."""


@dataclass(frozen=True)
class ShardState:
    """What a shard remembers after its last cut."""

    last_cut: int
    tables: Tables


@dataclass
class Cells:
    """Beam's cells of one shard: `main` holds one value, `apart` a bag with a table in each.

    A table in the bag that is not named any more is dead; the bag is written anew when most of
    it is.
    """

    main: Any
    apart: Any

    def load(self) -> ShardState:
        """The state; an empty one before the first cut."""
        data = self.main.read()
        if data is None:
            return ShardState(NO_CUT, {})
        tables = packets.decode(data)
        clock = tables.pop(_CLOCK)
        kept = clock["apart"][0].as_py()
        return ShardState(clock["cut"][0].as_py(), tables | self._apart(kept))

    def save(self, before: ShardState, after: ShardState) -> None:
        """Write what changed."""
        old = {name for name in before.tables if name.startswith(SEGMENT)}
        new = {name: table for name, table in after.tables.items() if name.startswith(SEGMENT)}
        rest = {name: table for name, table in after.tables.items() if name not in new}
        clock = pa.table(
            {
                "cut": pa.array([after.last_cut], pa.int64()),
                "apart": pa.array([sorted(new)], pa.list_(pa.string())),
            }
        )
        self.main.write(packets.encode({_CLOCK: clock, **rest}))
        if old - new.keys():
            self.apart.clear()
            old = set()
        for name in sorted(new.keys() - old):
            self.apart.add(packets.encode({name: new[name]}))

    def _apart(self, names: list[str]) -> dict[str, pa.Table]:
        if not names:
            return {}
        found = packets.merge(packets.decode(data) for data in self.apart.read())
        return {name: found[name] for name in names}
