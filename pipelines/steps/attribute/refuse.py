"""Dead letters of events that only the shard's memory could refuse: late and unmatched."""

import json

import pyarrow as pa

from pipelines.dead_letters import DEAD_LETTER_SCHEMA, RAW_LIMIT_BYTES


def refused(events: pa.Table, reason: str) -> pa.Table:
    """One dead letter for each event; `_stream`, `_source`, `_position` say where it came from."""
    names = [name for name in events.column_names if not name.startswith("_")]
    raw = [json.dumps(row, ensure_ascii=False).encode() for row in events.select(names).to_pylist()]
    rows = len(raw)
    return pa.table(
        {
            "stream": events["_stream"].cast(pa.string()),
            "source": events["_source"].cast(pa.string()),
            "position": events["_position"],
            "reason": pa.array([reason] * rows, pa.string()),
            "field": pa.array(["time_ms"] * rows, pa.string()),
            "raw": pa.array([text[:RAW_LIMIT_BYTES] for text in raw], pa.binary()),
            "raw_bytes": pa.array([len(text) for text in raw], pa.int64()),
        },
        schema=DEAD_LETTER_SCHEMA,
    )
