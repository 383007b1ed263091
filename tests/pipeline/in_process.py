"""Drives the pure steps over a schedule of the oracle, without Beam: what both must agree on."""

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines.sources.raw import RawRows, Rows
from pipelines.steps.aggregate import AggregateStep
from pipelines.steps.attribute import AttributeStep
from pipelines.steps.attribute.revise import CARRIER
from pipelines.steps.step import FINAL_CUT, NO_CUT, Tables
from pipelines.validate import validate
from schemas.events import arrow_schema
from schemas.hashing import hash_strings, shard_of
from schemas.spec import Spec
from tests.oracle import Event, Outcome, Read, Schedule, Seal, WindowOutcome

NAMES = {"exposure": "exposure", "retraction": "retraction"}


def run_steps(spec: Spec, schedule: Schedule, shards: int = 1) -> Outcome:
    """The windows, dead letters and counts that the steps give for a schedule."""
    outcome = Outcome()
    states: list[list[Tables]] = [[{}, {}] for _ in range(shards)]
    cut = NO_CUT
    for step in schedule:
        events: list[dict[str, pa.Table]] = [{} for _ in range(shards)]
        if isinstance(step, Read):
            events = _split(spec, step, shards, outcome)
        else:
            cut = max(cut, step.cut_ms) if isinstance(step, Seal) else FINAL_CUT
        for shard in range(shards):
            _advance(spec, states[shard], events[shard], cut, outcome)
    _sort(outcome)
    return outcome


def _advance(spec: Spec, state: list[Tables], events: Tables, cut: int, outcome: Outcome) -> None:
    state[0], first = AttributeStep(spec).advance(state[0], events, cut)
    state[1], last = AggregateStep(spec).advance(state[1], first, cut)
    for row in last["users"].to_pylist() if "users" in last else []:
        window = outcome.windows.setdefault(row["window_start_ms"], WindowOutcome())
        window.users.append(row)
    for row in first["revisions"].to_pylist() if "revisions" in first else []:
        window = outcome.windows.setdefault(row.pop(CARRIER), WindowOutcome())
        window.revisions.append(row)
    _count(first["counts"], outcome.counters)
    _bury(first["dead_letters"], outcome)


def _count(counts: pa.Table, counters: Counter[str]) -> None:
    for row in counts.to_pylist():
        counters[row["name"]] += row["count"]


def _bury(letters: pa.Table, outcome: Outcome) -> None:
    for row in letters.to_pylist():
        letter = (row["stream"], row["source"], row["position"], row["reason"])
        outcome.dead_letters.append(letter)


def _split(spec: Spec, read: Read, shards: int, outcome: Outcome) -> list[dict[str, pa.Table]]:
    tables: list[dict[str, list[pa.Table]]] = [{} for _ in range(shards)]
    groups: dict[tuple[str, str], list[Event]] = {}
    for event in read.events:
        groups.setdefault((event.stream, event.source), []).append(event)
    for (stream, source), events in sorted(groups.items()):
        table = _accepted(spec, stream, source, events, read.now_ms, outcome)
        kind = spec.streams[stream].kind
        if kind == "item" or not table.num_rows:
            continue
        names = pa.array([stream] * table.num_rows)
        table = table.append_column("_stream", names)
        shard = shard_of(hash_strings(table["user_id"]), shards)
        for one in range(shards):
            part = table.filter(pa.array(shard == one))
            tables[one].setdefault(NAMES.get(kind, "feedback"), []).append(part)
    return [{name: pa.concat_tables(parts) for name, parts in one.items()} for one in tables]


def _accepted(
    spec: Spec, stream: str, source: str, events: list[Event], now_ms: int, outcome: Outcome
) -> pa.Table:
    rows: list[dict[str, Any]] = [event.fields for event in events]
    nullable = pa.schema([field.with_nullable(True) for field in arrow_schema(spec, stream)])
    content = Rows(pa.Table.from_pylist(rows, schema=nullable), np.arange(len(rows)))
    checked = validate(spec, stream, RawRows(content), now_ms, source)
    position = checked.events["_position"].to_pylist()
    outcome.counters[f"accepted/{stream}"] += len(position)
    by_row = pa.array([events[p].row for p in position], pa.int64())
    for row in checked.dead_letters.to_pylist():
        letter = (stream, source, events[row["position"]].row, row["reason"])
        outcome.dead_letters.append(letter)
    index = checked.events.column_names.index("_position")
    return checked.events.set_column(index, "_position", by_row)


def _sort(outcome: Outcome) -> None:
    outcome.dead_letters.sort()
    outcome.counters = +outcome.counters
    outcome.windows = dict(sorted(outcome.windows.items()))
    for window in outcome.windows.values():
        window.users.sort(key=lambda row: row["user_id"].encode())
        window.revisions.sort(key=_revision_order)


def _revision_order(row: dict[str, Any]) -> tuple[Any, ...]:
    texts = (row["request_id"].encode(), row["item_id"].encode(), row["task"])
    return (row["window_start_ms"], row["user_id"].encode(), row["request_time_ms"], *texts)
