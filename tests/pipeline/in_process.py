"""Drives the pure steps over a schedule of the oracle, without Beam: what both must agree on."""

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines.packets import merge
from pipelines.sources.raw import Int64Array, RawRows, Rows
from pipelines.steps.aggregate import AggregateStep
from pipelines.steps.attribute import AttributeStep
from pipelines.steps.attribute.revise import CARRIER
from pipelines.steps.resolve import ResolveByCellStep, ResolveByItemStep, route
from pipelines.steps.step import FINAL_CUT, NO_CUT, Step, Tables
from pipelines.validate import validate
from schemas.events import arrow_schema
from schemas.hashing import hash_strings, shard_of
from schemas.spec import Spec
from tests.oracle import Event, Outcome, Read, Schedule, Seal, WindowOutcome

NAMES = {"exposure": "exposure", "retraction": "retraction"}


def run_steps(spec: Spec, schedule: Schedule, shards: int = 1) -> Outcome:
    """The windows, dead letters and counts that the steps give for a schedule."""
    outcome = Outcome()
    runner = _Runner(spec, shards, outcome)
    cut = NO_CUT
    for step in schedule:
        events: list[dict[str, pa.Table]] = [{} for _ in range(shards)]
        if isinstance(step, Read):
            events = _split(spec, step, shards, outcome)
        else:
            cut = max(cut, step.cut_ms) if isinstance(step, Seal) else FINAL_CUT
        runner.advance(events, cut)
    _sort(outcome)
    return outcome


class _Runner:
    """The steps of a spec with their states, by name and shard."""

    def __init__(self, spec: Spec, shards: int, outcome: Outcome) -> None:
        self.spec, self.shards, self.outcome = spec, shards, outcome
        self.states: dict[tuple[str, int], Tables] = {}

    def advance(self, events: list[dict[str, pa.Table]], cut: int) -> None:
        """All shards of all steps, once."""
        firsts = [
            self._step(AttributeStep(self.spec), shard, events[shard], cut)
            for shard in range(self.shards)
        ]
        found = self._resolved(firsts, events, cut)
        for shard in range(self.shards):
            wanted = route.staying(firsts[shard]) | found[shard]
            last = self._step(AggregateStep(self.spec), shard, wanted, cut)
            self._show(last, firsts[shard])

    def _resolved(
        self, firsts: list[Tables], events: list[dict[str, pa.Table]], cut: int
    ) -> list[Tables]:
        target = self.spec.target
        if target is None or target.searchify is None:
            return [{} for _ in range(self.shards)]
        asked: list[list[Tables]] = [[part] for part in events]
        cell: list[Tables] = []
        for first in firsts:
            cell += [part for _, part in route.to_cell(first)]
            for shard, part in route.to_items(first, self.shards):
                asked[shard].append(part)
        items = ResolveByItemStep(self.spec, target.searchify)
        answers = []
        for shard in range(self.shards):
            wanted = {name: t for name, t in merge(asked[shard]).items() if name in route.TO_ITEMS}
            answers.append(self._step(items, shard, wanted, cut))
        cell += [part for one in answers for _, part in route.to_cell(one)]
        cells = ResolveByCellStep(self.spec, target.searchify)
        answers.append(self._step(cells, route.CELL, merge(cell), cut))
        parts: list[list[Tables]] = [[] for _ in range(self.shards)]
        for one in answers:
            for shard, part in route.to_users(one, self.shards):
                parts[shard].append(part)
        return [merge(one) for one in parts]

    def _step(self, step: Step, shard: int, events: Tables, cut: int) -> Tables:
        before = self.states.get((step.name, shard), {})
        self.states[step.name, shard], outputs = step.advance(before, events, cut)
        if "counts" in outputs:
            _count(outputs["counts"], self.outcome.counters)
        if "dead_letters" in outputs:
            _bury(outputs["dead_letters"], self.outcome)
        return outputs

    def _show(self, last: Tables, first: Tables) -> None:
        for row in last["users"].to_pylist() if "users" in last else []:
            window = self.outcome.windows.setdefault(row["window_start_ms"], WindowOutcome())
            window.users.append(row)
        for row in first["revisions"].to_pylist() if "revisions" in first else []:
            window = self.outcome.windows.setdefault(row.pop(CARRIER), WindowOutcome())
            window.revisions.append(row)


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
        if not table.num_rows:
            continue
        if kind == "item":
            _deal(tables, "item", table, shard_of(hash_strings(table["item_id"]), shards))
            continue
        names = pa.array([stream] * table.num_rows)
        table = table.append_column("_stream", names)
        shard = shard_of(hash_strings(table["user_id"]), shards)
        _deal(tables, NAMES.get(kind, "feedback"), table, shard)
    return [{name: pa.concat_tables(parts) for name, parts in one.items()} for one in tables]


def _deal(
    tables: list[dict[str, list[pa.Table]]], name: str, rows: pa.Table, shard: Int64Array
) -> None:
    for one in range(len(tables)):
        part = rows.filter(pa.array(shard == one))
        tables[one].setdefault(name, []).append(part)


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
    """Those of one window and user come from one shard, in their order."""
    return (row["window_start_ms"], row["user_id"].encode())
