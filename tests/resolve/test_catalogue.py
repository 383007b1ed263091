"""What the catalogue knows at a cut, and what still waits, worked out by hand."""

from collections import Counter

import pyarrow as pa

from pipelines.steps.resolve.catalogue import Catalogue
from pipelines.steps.step import NO_CUT
from schemas.events import arrow_schema
from tests.pipeline.small_world import small_spec

SPEC = small_spec()
SCHEMA = arrow_schema(SPEC, "item")


def items(*times_ms: int) -> pa.Table:
    """An event at each time, each of an item of its own."""
    nothing = dict.fromkeys(SCHEMA.names)
    rows = [nothing | {"item_id": f"i{at}", "time_ms": at, "title": "oak"} for at in times_ms]
    return pa.Table.from_pylist(rows, SCHEMA)


def test_of_what_waits_each_event_is_settled_once_at_its_own_cut() -> None:
    # Cuts at 5,000 and 15,000; two tables wait, and each holds events of both.
    catalogue = Catalogue.of(SPEC, {})
    catalogue = catalogue.with_events(items(1, 2, 3, 5_001, 5_002, 5_003, 5_004), NO_CUT)
    catalogue = catalogue.with_events(items(4, 5_005), NO_CUT)
    assert [table.num_rows for table in catalogue.arrived] == [7, 2]
    counts: Counter[str] = Counter()
    first = catalogue.settle(5_000, counts)
    assert sorted(first.fresh["time_ms"].to_pylist()) == [1, 2, 3, 4]
    assert sum(table.num_rows for table in first.arrived) == 5
    second = first.absorbed(5_000).settle(15_000, counts)
    assert sorted(second.fresh["time_ms"].to_pylist()) == [5_001, 5_002, 5_003, 5_004, 5_005]
    assert sum(table.num_rows for table in second.arrived) == 0
    assert +counts == Counter()
