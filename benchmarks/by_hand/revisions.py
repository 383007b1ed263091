"""Revisions to files."""

from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from benchmarks.by_hand.actions import Actions
from benchmarks.by_hand.arrays import Ints
from benchmarks.by_hand.cuts import sealed, span
from benchmarks.by_hand.fold import Records
from benchmarks.by_hand.labels import Labels
from benchmarks.by_hand.names import TASKS
from benchmarks.by_hand.read import Events
from benchmarks.by_hand.requests import Requests
from benchmarks.by_hand.writer import Writer
from benchmarks.speed_world.spec import speed_spec
from schemas.hashing import hash_strings
from schemas.record import revision_schema
from schemas.windows.avro import encode
from schemas.windows.names import revisions_name
from schemas.windows.write import SLICE_RECORDS


def write_revisions(
    labels: Labels,
    requests: Requests,
    actions: Actions,
    events: Events,
    records: Records,
    writer: Writer,
) -> None:
    """Encode and write the revisions, one file a window that carries some and shard."""
    rows = _revisions(labels, requests, actions, events, records)
    schema = revision_schema()
    for (start_ms, shard), part in rows.partition_by(
        "carrier", "shard", as_dict=True, maintain_order=True
    ).items():
        table = part.drop("carrier", "shard").to_arrow().cast(schema).combine_chunks()
        slices = (
            encode(table.slice(at, SLICE_RECORDS).to_batches()[0], writer.schema)
            for at in range(0, len(table), SLICE_RECORDS)
        )
        writer.write(int(start_ms), revisions_name(int(shard)), slices)


def _revisions(
    labels: Labels, requests: Requests, actions: Actions, events: Events, records: Records
) -> pl.DataFrame:
    """Revisions in order, with the window that carries each and its shard."""
    spec = speed_spec()
    pair, cut, old, new, old_cut, fell = labels.revisions.T
    request = labels.request_of[np.maximum(old, new)]
    user, time_ms = requests.user[request], requests.time_ms[request]
    span_ms = spec.window.length_ms + spec.window.maturity_ms
    closes = time_ms + np.array([span(spec, name) for name in TASKS])[pair & 1]
    users = events.user[0].values.take(pa.array(events.by_rank))
    items = events.item[0].values
    columns = {
        "carrier": cut - span_ms,
        "shard": records.shard[user],
        "window_start_ms": sealed(time_ms, spec) - span_ms,
        "user_id": pl.Series(users.take(pa.array(user))),
        "user": hash_strings(users.take(pa.array(user))),
        "request_time_ms": time_ms,
        "request_id": pl.Series(events.shown["request_id"].take(pa.array(requests.row[request]))),
        "item_id": pl.Series(items.take(pa.array(requests.item[pair >> 1]))),
        "task": np.array(TASKS)[pair & 1],
        **_cited("old", old, actions, events, labels),
        "old_open": closes > old_cut,
        **_cited("new", new, actions, events, labels),
        "new_open": closes > cut,
        "retraction": fell.astype(np.bool_),
        "late": np.zeros(len(pair), np.bool_),
    }
    keys = ("window_start_ms", "user_id", "request_time_ms", "request_id", "item_id", "task")
    return pl.DataFrame(columns).sort("carrier", "shard", *keys)


def _cited(
    prefix: str, action: Ints, actions: Actions, events: Events, labels: Labels
) -> dict[str, Any]:
    none = action < 0
    ids = events.feedback["event_id"].take(pa.array(actions.row[action], mask=none))
    time_ms = pa.array(actions.time_ms[action], mask=none)
    tier = pa.array(labels.tier[action].astype(np.int32), mask=none)
    return {
        f"{prefix}_value": np.where(none, 0.0, 1.0),
        f"{prefix}_tier": pl.Series(tier),
        f"{prefix}_event_id": pl.Series(ids),
        f"{prefix}_time_ms": pl.Series(time_ms),
    }
