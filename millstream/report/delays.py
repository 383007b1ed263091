"""How long after its request the event of a label happened, in logarithmic bins.

A histogram has the same few hundred bins however many labels there are. An edge belongs to the
bin that it closes, so the share of labels up to an edge is exact.
"""

from collections.abc import Iterator

import numpy as np
import polars as pl
import pyarrow as pa

from schemas.windows.flat import AnyArray, Int64Array
from schemas.windows.packed import pack

_PER_DECADE = 20
_DECADES = 11

EDGES_MS: Int64Array = np.unique(
    np.round(np.logspace(0, _DECADES, _DECADES * _PER_DECADE + 1)).astype(np.int64)
)
"""Upper edges of the bins after the first, which holds what was known at once: 1 ms to 3 years."""

SEALED, REVISED = "sealed", "revised"
"""By when a label was known: at its window's cut, or later, through a revision."""

SCHEMA = pl.Schema(
    {"task": pl.String, "known": pl.String, "up_to_ms": pl.Int64, "labels": pl.Int64}
)


def sealed_delays(batch: pa.RecordBatch) -> pl.DataFrame:
    """The credited labels of a batch of `UserWindow` records, by `SCHEMA`; empty bins left out."""
    packed = pack(batch)
    samples = packed.samples
    asked_ms = np.repeat(packed.requests.time_ms, np.diff(samples.offsets))
    parts: Iterator[pl.DataFrame] = (
        histogram(task, SEALED, (label.time_ms.values - asked_ms)[label.tier.valid])
        for task, label in samples.labels.items()
    )
    return pl.concat([SCHEMA.to_frame(), *parts])


def revised_delays(revisions: pl.DataFrame) -> pl.DataFrame:
    """The labels that a revision credited first, by `SCHEMA`; empty bins left out."""
    credited = revisions.filter(
        pl.col("old_tier").is_null() & pl.col("new_tier").is_not_null()
    ).with_columns(delay=pl.col("new_time_ms") - pl.col("request_time_ms"))
    parts = (
        histogram(task, REVISED, rows["delay"].to_numpy())
        for (task,), rows in credited.group_by("task", maintain_order=True)
    )
    return pl.concat([SCHEMA.to_frame(), *parts])


def histogram(task: object, known: str, delays_ms: AnyArray) -> pl.DataFrame:
    """How many delays fall in each bin, by `SCHEMA`; those beyond the last edge count there."""
    edges = np.concatenate([np.zeros(1, dtype=np.int64), EDGES_MS])
    place = np.searchsorted(edges, delays_ms).clip(max=len(edges) - 1)
    found = np.bincount(place, minlength=len(edges))
    filled = found > 0
    columns = {
        "task": [str(task)] * int(filled.sum()),
        "known": [known] * int(filled.sum()),
        "up_to_ms": edges[filled],
        "labels": found[filled],
    }
    return pl.DataFrame(columns, schema=SCHEMA)


def added(parts: list[pl.DataFrame]) -> pl.DataFrame:
    """Histograms added up, in order of task, known and bin."""
    keys = ["task", "known", "up_to_ms"]
    joined = pl.concat([SCHEMA.to_frame(), *parts])
    return joined.group_by(keys).agg(pl.col("labels").sum()).sort(keys)
