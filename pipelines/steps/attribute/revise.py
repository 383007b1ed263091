"""Revisions as rows: the change of one sample's label, carried by the window of its cut."""

import numpy as np
import polars as pl
import pyarrow as pa

from pipelines.arrays import Ints
from pipelines.steps.attribute.labels import Revision
from pipelines.steps.attribute.memory import Memory
from pipelines.steps.attribute.rules import Rules
from pipelines.steps.attribute.seal_labels import cited
from pipelines.steps.attribute.tables import Credits
from schemas.record import revision_schema

CARRIER = "carried_by_ms"
"""Start of the window that carries the revision."""


def seal_revisions(memory: Memory, revision: Revision, credits: Credits, rules: Rules) -> pa.Table:
    """Revisions with their carrier first, in rule 12's order."""
    window = rules.spec.window
    request = memory.request_of(revision.sample)
    time_ms = memory.requests.time_ms[request]
    sealed_at = rules.sealed_at(time_ms)
    span = window.length_ms + window.maturity_ms
    names = np.array([task.name for task in rules.tasks], object)
    columns = {
        CARRIER: pa.array(revision.cut - span),
        "window_start_ms": pa.array(sealed_at - span),
        "user_id": memory.requests.user_id.take(pa.array(request)),
        "user": pa.array(memory.requests.user[request]),
        "request_time_ms": pa.array(time_ms),
        "request_id": memory.requests.request_id.take(pa.array(request)),
        "item_id": memory.samples.item_id.take(pa.array(revision.sample)),
        "task": pa.array(names[revision.task], pa.string()),
        "retraction": pa.array(revision.retraction),
        "late": pa.array(revision.late),
    }
    closes = rules.closes(revision.task, time_ms)
    old = cited(memory, credits, revision.old_credit)
    new = cited(memory, credits, revision.new_credit)
    columns |= {f"old_{name}": column for name, column in old.items()}
    columns |= {f"new_{name}": column for name, column in new.items()}
    columns["old_value"] = pa.array(revision.old_value)
    columns["new_value"] = pa.array(revision.new_value)
    columns["old_open"] = pa.array(closes > revision.old_cut)
    columns["new_open"] = pa.array(closes > revision.cut)
    schema = pa.schema([pa.field(CARRIER, pa.int64(), nullable=False), *revision_schema()])
    rows = pa.table([columns[name] for name in schema.names], schema=schema)
    return rows.take(pa.array(_final_order(rows, memory, request)))


def _final_order(rows: pa.Table, memory: Memory, request: Ints) -> Ints:
    """Rule 12: in a user's requests of one time, pseudo ones come last, by their source."""
    before = (CARRIER, "window_start_ms", "user_id", "request_time_ms")
    after = ("request_id", "item_id", "task")
    frame = pl.DataFrame(pl.from_arrow(rows.select([*before, *after]))).with_columns(
        row=np.arange(len(request)),
        source=pl.Series(memory.requests.source_id.take(pa.array(request)), dtype=pl.String),
    )
    by_source = pl.when(pl.col("source") == "").then(pl.col("request_id")).otherwise("source")
    frame = frame.with_columns(pseudo=pl.col("source") != "", request_id=by_source)
    order: Ints = frame.sort(*before, "pseudo", *after)["row"].to_numpy()
    return order
