"""Settled feedback of the action streams, as step 4 wants it (rule 11)."""

import numpy as np
import pyarrow as pa

from pipelines.steps.attribute.settle import Settled
from pipelines.steps.encode import encode
from schemas.hashing import hash_nullable, hash_one
from schemas.spec import Spec


def action_schema(spec: Spec) -> pa.Schema:
    """One action: whose, when, its stream and event id for order, and what sequences carry."""
    carried = [spec.features[name] for name in spec.sequences.features]
    types = {"id": pa.int64(), "ids": pa.list_(_required("item", pa.int64()))}
    return pa.schema(
        [
            *(_required(name, pa.int64()) for name in ("user", "time_ms", "item", "action")),
            *(_required(name, pa.string()) for name in ("stream", "event_id")),
            pa.field("scenario", pa.int64()),
            *(pa.field(f.name, types.get(f.type, pa.float64())) for f in carried),
        ]
    )


def _required(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


def actions_of(settled: Settled, spec: Spec) -> pa.Table:
    """The actions among newly settled feedback, in the order of its rows."""
    schema = action_schema(spec)
    if settled.events is None:
        return schema.empty_table()
    feedback, first = settled.memory.feedback, len(settled.memory.feedback) - settled.fresh
    streams = np.array([hash_one(name) for name in spec.sequences.streams], np.int64)
    wanted = np.flatnonzero(np.isin(feedback.stream[first:], streams))
    rows = settled.events.take(pa.array(wanted)).combine_chunks()
    columns = {
        "user": pa.array(feedback.user[first + wanted]),
        "time_ms": rows["time_ms"],
        "item": pa.array(feedback.item[first + wanted]),
        "action": pa.array(feedback.stream[first + wanted]),
        "stream": rows["_stream"].cast(pa.string()),
        "event_id": rows["event_id"].cast(pa.string()),
        "scenario": hash_nullable(rows["scenario"]),
        **{
            name: encode(spec.features[name], rows[name].combine_chunks())
            for name in spec.sequences.features
        },
    }
    return pa.table([columns[name] for name in schema.names], schema=schema)
