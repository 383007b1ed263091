"""Records to files."""

from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.by_hand.actions import Actions
from benchmarks.by_hand.arrays import Ints
from benchmarks.by_hand.columns import action_columns, raw, request_columns, sample_columns, texts
from benchmarks.by_hand.cuts import span
from benchmarks.by_hand.fold import Records
from benchmarks.by_hand.kernels.put import put_longs
from benchmarks.by_hand.kernels.records import put_records
from benchmarks.by_hand.labels import Labels
from benchmarks.by_hand.read import Events
from benchmarks.by_hand.requests import Requests
from benchmarks.by_hand.writer import Writer
from benchmarks.speed_world.spec import speed_spec
from schemas.hashing import hash_strings
from schemas.windows.names import shard_name
from schemas.windows.write import SLICE_RECORDS


def write_users(
    records: Records,
    requests: Requests,
    actions: Actions,
    labels: Labels,
    events: Events,
    writer: Writer,
) -> None:
    """Encode and write the records, one file a window and shard."""
    given = _encoder(records, requests, actions, labels, events)
    start_ms, shard = records.start_ms, records.shard[records.user]
    key = (start_ms * len(records.shard) + shard)[records.order]
    bounds = np.append(np.flatnonzero(np.diff(key, prepend=key[0] - 1)), len(key))
    most = _most_bytes(records, requests)
    out = np.empty(int(max(np.add.reduceat(most[records.order], bounds[:-1]))) + 64, np.uint8)
    for begin, end in pairwise(bounds):
        group = records.order[begin:end]
        slices = (
            (out, put_records((group[at : at + SLICE_RECORDS], *given[0]), out, *given[1:]))
            for at in range(0, len(group), SLICE_RECORDS)
        )
        writer.write(int(start_ms[group[0]]), shard_name(int(shard[group[0]])), slices)


def _most_bytes(records: Records, requests: Requests) -> Ints:
    """So many bytes hold each record, whatever is in it."""
    spans = records.spans
    actions = spans[:, 1] - spans[:, 0] + spans[:, 3] - spans[:, 2]
    sizes = np.append(0, np.cumsum(512 + (requests.end - requests.begin) * 160))
    return 256 + actions * 64 + sizes[records.first[1:]] - sizes[records.first[:-1]]


def _encoder(
    records: Records, requests: Requests, actions: Actions, labels: Labels, events: Events
) -> tuple[Any, ...]:
    """All that the encoding kernel looks up."""
    spec = speed_spec()
    users = events.user[0].values.take(pa.array(events.by_rank))
    given = (records.user, records.start_ms, records.first, records.spans)
    user = (texts(users), put_longs(hash_strings(users), False))
    sealed_after_ms = spec.window.length_ms + spec.window.maturity_ms
    closes = (sealed_after_ms, span(spec, "click"), span(spec, "buy"))
    ids = (*raw(events.feedback["event_id"]), actions.row)
    return (
        given,
        user,
        action_columns(actions, events, spec),
        request_columns(requests, events, spec),
        sample_columns(requests, events),
        (labels.shown, labels.tier, actions.time_ms, ids),
        closes,
    )
