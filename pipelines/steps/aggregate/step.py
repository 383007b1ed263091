"""Step 4 as one sentence: order the actions, cut H and R, fold requests into user records."""

from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa

from pipelines.arrays import Ints
from pipelines.steps.aggregate.sequences import Runs, find_runs, in_order, still_needed
from pipelines.steps.attribute.actions import action_schema
from pipelines.steps.resolve.finish import finish
from pipelines.steps.step import NO_CUT, Tables
from schemas.record import request_type, sequence_type, user_window_schema
from schemas.spec import Spec


@dataclass(frozen=True)
class AggregateStep:
    """Sealed requests and settled actions → `users`, one `UserWindow` a user and window.

    Revisions pass through. With searchification `pseudo` requests, `texts` and `answers` make
    more requests. Events: `requests` by (window, user id, time, request id) and
    `actions`, both of cuts up to the one given: unlike a first step's, they act in this call.
    Output rows are by (window, user id).
    """

    spec: Spec
    name: str = "aggregate"

    def advance(self, state: Tables, events: Tables, cut: int) -> tuple[Tables, Tables]:
        """See `Step.advance`."""
        if events.keys().isdisjoint(("requests", "actions")):
            return state, {}  # no cut has come
        actions = self._known(state, events)
        requests = self._with_pseudo(events)
        users = self._fold(requests, actions) if requests is not None else None
        needed = self._needed(actions, cut)
        outputs = {} if users is None else {"users": users, "revisions": events["revisions"]}
        return {"actions": needed}, outputs

    def _with_pseudo(self, events: Tables) -> pa.Table | None:
        """The requests of sealed windows, those made of foreign clicks after native ones."""
        requests, target = events.get("requests"), self.spec.target
        if requests is None or target is None or target.searchify is None:
            return requests
        pseudo = finish(events, self.spec, target.searchify)
        if not pseudo.num_rows:
            return requests
        both = pa.concat_tables([requests, pseudo]).combine_chunks()
        frame = pl.DataFrame(pl.from_arrow(both.select(["window_start_ms", "user_id", "time_ms"])))
        order = frame.with_row_index("row").sort("window_start_ms", "user_id", "time_ms", "row")
        return both.take(order["row"].to_arrow())

    def _known(self, state: Tables, events: Tables) -> pa.Table:
        known = state.get("actions", action_schema(self.spec).empty_table())
        fresh = events.get("actions")
        if fresh is None or not fresh.num_rows:
            return known.combine_chunks()
        return in_order(pa.concat_tables([known, fresh]))

    def _needed(self, actions: pa.Table, cut: int) -> pa.Table:
        if cut == NO_CUT:
            return actions
        next_start_ms = self.spec.window.window_of_cut(cut) + self.spec.window.length_ms
        return still_needed(actions, next_start_ms, self.spec.sequences.history)

    def _fold(self, requests: pa.Table, actions: pa.Table) -> pa.Table:
        """One record for each run of requests of one (window, user)."""
        requests = requests.combine_chunks()
        first = _run_starts(requests)
        user = requests["user"].to_numpy()[first]
        start_ms = requests["window_start_ms"].to_numpy()[first]
        end_ms = start_ms + self.spec.window.length_ms
        history, recent = find_runs(actions, user, start_ms, end_ms, self.spec.sequences)
        columns = {
            "user_id": requests["user_id"].combine_chunks().take(pa.array(first)),
            "user": pa.array(user),
            "window_start_ms": pa.array(start_ms),
            "history": self._sequence(actions, history),
            "recent": self._sequence(actions, recent),
            "requests": self._requests(requests, first),
        }
        schema = user_window_schema(self.spec)
        return pa.table([columns[name] for name in schema.names], schema=schema)

    def _sequence(self, actions: pa.Table, shown: Runs) -> pa.StructArray:
        kind = sequence_type(self.spec)
        rows = actions.select([field.name for field in kind]).take(pa.array(shown.rows))
        lists = [
            pa.ListArray.from_arrays(
                shown.offsets, rows[field.name].combine_chunks(), type=field.type
            )
            for field in kind
        ]
        return pa.StructArray.from_arrays(lists, fields=list(kind))

    def _requests(self, requests: pa.Table, first: Ints) -> pa.ListArray:
        kind = request_type(self.spec)
        columns = [requests[field.name].combine_chunks() for field in kind]
        structs = pa.StructArray.from_arrays(columns, fields=list(kind))
        offsets = pa.array(np.append(first, len(structs)).astype(np.int32))
        list_type = user_window_schema(self.spec).field("requests").type
        return pa.ListArray.from_arrays(offsets, structs, type=list_type)


def _run_starts(requests: pa.Table) -> Ints:
    """Where a new (window, user) begins; rows of one stand together."""
    window, user = requests["window_start_ms"].to_numpy(), requests["user"].to_numpy()
    fresh = np.ones(len(window), np.bool_)
    fresh[1:] = (window[1:] != window[:-1]) | (user[1:] != user[:-1])
    return np.flatnonzero(fresh)
