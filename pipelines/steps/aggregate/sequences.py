"""Rule 11: which actions each user's window shows as history (H) and as recent (R)."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipelines.arrays import Ints
from pipelines.steps.first_at import first_at
from pipelines.steps.merge_order import merge_order
from pipelines.steps.order import order_by
from pipelines.steps.ragged import offsets_of, runs
from schemas.spec import Sequences

_EVER = np.iinfo(np.int64).min


@dataclass(frozen=True)
class Runs:
    """Runs of actions, one a record: where each starts and how many it holds."""

    starts: Ints
    counts: Ints

    @property
    def rows(self) -> Ints:
        """The rows of all actions, run after run."""
        return runs(self.starts, self.counts)

    @property
    def offsets(self) -> pa.Array:
        """List offsets, int32 [records + 1]."""
        return pa.array(offsets_of(self.counts).astype(np.int32))


def in_order(actions: pa.Table) -> pa.Table:
    """Actions by (user, time, stream, event id); most of them may be in order already."""
    actions = actions.combine_chunks()
    streams = actions["stream"].combine_chunks().dictionary_encode()
    names = streams.dictionary.to_pylist()
    rank = np.argsort(np.argsort(np.array([name.encode() for name in names], object)))
    stream = rank[streams.indices.to_numpy()] if names else np.empty(0, np.int64)
    user, time_ms = actions["user"].to_numpy(), actions["time_ms"].to_numpy()
    event_id = actions["event_id"].combine_chunks()

    def by_event(rows: Ints) -> Ints:
        return order_by([user[rows], time_ms[rows], stream[rows]], event_id.take(pa.array(rows)))

    return actions.take(pa.array(merge_order(user, time_ms, by_event)))


def find_runs(
    actions: pa.Table, user: Ints, start_ms: Ints, end_ms: Ints, sequences: Sequences
) -> tuple[Runs, Runs]:
    """H and R of each record (user, window): the last N before start, the first ones in it."""
    keys = actions["user"].to_numpy(), actions["time_ms"].to_numpy()
    begin = first_at(*keys, user, np.full(len(user), _EVER))
    middle = first_at(*keys, user, start_ms)
    stop = first_at(*keys, user, end_ms)
    history = np.minimum(middle - begin, sequences.history)
    recent = np.minimum(stop - middle, sequences.recent)
    return Runs(middle - history, history), Runs(middle, recent)


def still_needed(actions: pa.Table, next_start_ms: int, history: int) -> pa.Table:
    """Actions that a window starting at `next_start_ms` or later can show."""
    user, time_ms = actions["user"].to_numpy(), actions["time_ms"].to_numpy()
    owners = np.unique(user)
    middle = first_at(user, time_ms, owners, np.full(len(owners), next_start_ms))
    stop = np.searchsorted(user, owners, side="right")
    begin = np.maximum(np.searchsorted(user, owners, side="left"), middle - history)
    return actions.take(pa.array(runs(begin, stop - begin)))
