"""From a range of a file to tables of validated events, one for each shard."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipelines.sources.raw import RawRows
from pipelines.steps.step import Tables
from pipelines.validate import Validated, validate
from pipelines.words import repeated, trimmed
from schemas.hashing import hash_strings, shard_of
from schemas.spec import Spec

TABLE_OF_KIND = {
    "exposure": "exposure",
    "click": "feedback",
    "conversion": "feedback",
    "retraction": "retraction",
    "item": "item",
}
"""Under which name a stream's events reach their step: items step 2, all others step 1."""


@dataclass(frozen=True)
class ReadEvents:
    """What one range gave: events by shard of their users, or of their items if it held items;
    dead letters, counts, the newest event time.
    """

    by_shard: list[tuple[int, Tables]]
    dead_letters: pa.Table
    counts: Counter[str]
    newest_ms: int | None


def read_events(
    spec: Spec, stream: str, source: str, raw: RawRows, now_ms: int, shards: int
) -> ReadEvents:
    """Validate one source's rows and split what is accepted by shard."""
    checked = validate(spec, stream, raw, now_ms, source)
    counts = Counter({f"accepted/{stream}": len(checked.rows)})
    for entry in checked.dead_letters["reason"].value_counts().to_pylist():
        counts[f"dead/{stream}/{entry['values']}"] += entry["counts"]
    newest_ms = pa.compute.max(checked.read["time_ms"].take(pa.array(checked.rows))).as_py()
    by_shard = list(_split(spec, stream, checked, shards))
    return ReadEvents(by_shard, checked.dead_letters, +counts, newest_ms)


def _split(
    spec: Spec, stream: str, checked: Validated, shards: int
) -> Iterator[tuple[int, Tables]]:
    """The events by shard: rows are moved once, straight from what was read."""
    if not len(checked.rows):
        return
    name = TABLE_OF_KIND[spec.streams[stream].kind]
    key = "item_id" if name == "item" else "user_id"
    shard = shard_of(hash_strings(checked.read[key])[checked.rows], shards)
    order = np.argsort(shard, kind="stable")
    rows = pa.array(checked.rows[order])
    events = checked.read.take(rows).combine_chunks()
    events = events.append_column("_stream", repeated(stream, len(rows)))
    bounds = np.searchsorted(shard[order], np.arange(shards + 1))
    for one in np.flatnonzero(np.diff(bounds)):
        part = events.slice(bounds[one], bounds[one + 1] - bounds[one])
        columns = [
            pa.chunked_array(map(trimmed, column.chunks), column.type) for column in part.columns
        ]
        yield int(one), {name: pa.table(columns, schema=part.schema)}
