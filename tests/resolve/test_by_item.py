"""Step 2 over many windows, against its rules read one row at a time.

Worlds of the whole pipeline are too small for remembered rows to be merged; here there are enough
windows, and few enough users, items and queries, that everything happens in one of them.
"""

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.steps.resolve import ResolveByItemStep
from pipelines.steps.resolve.tables import SHOWN, WANTED
from pipelines.steps.step import NO_CUT, SEGMENT, Tables
from schemas.events import arrow_schema
from schemas.hashing import hash_one
from schemas.labels import ORIGIN_CODES, QUERY_PATH_CODES
from tests.oracle import Event
from tests.oracle.identity import digest
from tests.pipeline.small_world import small_spec

SPEC = small_spec()
ITEM_SCHEMA = arrow_schema(SPEC, "item")

LENGTH, MATURITY, MEMORY = 10_000, 5_000, 3
"""Of the small world: its window, and for how many windows queries are remembered."""

FORGOTTEN_AFTER = LENGTH + 25_000
"""How long before a cut an event must lie to be forgotten: a window, horizons of 20 s and 5 s."""

WINDOWS = 14
ITEMS, QUERIES = ("lamp", "chair"), ("b", "a", "ab", "ä")

Row = dict[str, Any]


@dataclass
class World:
    """What the step is told; an item with the window that was the last sealed when it was read."""

    shown: list[Row] = field(default_factory=list)
    wanted: list[Row] = field(default_factory=list)
    items: list[tuple[int, Row]] = field(default_factory=list)


@st.composite
def lives(draw: st.DrawFn) -> tuple[World, list[int]]:
    """A world with times near the edges, and the windows after which the step is called."""
    world, told = World(), set[tuple[str, int]]()
    offset_ms = st.sampled_from([0, 2, 5_000])
    for window in range(WINDOWS):
        start_ms = window * LENGTH
        for number in range(draw(st.integers(0, 4))):
            row = _about(draw, start_ms, f"{draw(st.sampled_from('xyz'))}{number}")
            world.shown.append(row | {"query": draw(st.sampled_from(QUERIES))})
        for number in range(draw(st.integers(0, 3))):
            origin = ORIGIN_CODES["searchified_positive"]
            world.wanted.append(_about(draw, start_ms, str(number)) | {"origin": origin})
        for _ in range(draw(st.integers(0, 3))):
            item = draw(st.sampled_from(ITEMS))
            time_ms = max(0, window - draw(st.sampled_from([0, -1, 7]))) * LENGTH + draw(offset_ms)
            forgotten = time_ms < cut_of(window) - FORGOTTEN_AFTER
            if forgotten or (item, time_ms) not in told:
                told.add((item, time_ms))
                title = draw(st.sampled_from([None, "", "oak", "pine"]))
                world.items.append((window, _item(item, time_ms, title)))
    calls = draw(st.sets(st.integers(0, WINDOWS - 1))) | {WINDOWS - 1}
    return world, sorted(calls)


def _about(draw: st.DrawFn, start_ms: int, request_id: str) -> Row:
    return {
        "window_start_ms": start_ms,
        "user": draw(st.integers(1, 2)),
        "id": request_id,
        "time_ms": start_ms + draw(st.sampled_from([0, 1, 2, 5_000, 9_999])),
        "item": hash_one(draw(st.sampled_from(ITEMS))),
    }


def _item(item: str, time_ms: int, title: str | None) -> Row:
    event: Row = {field.name: None for field in ITEM_SCHEMA}
    return event | {"item_id": item, "time_ms": time_ms, "title": title}


def cut_of(window: int) -> int:
    """When a window is sealed."""
    return (window + 1) * LENGTH + MATURITY if window >= 0 else NO_CUT


@settings(deadline=None, max_examples=60)
@given(life=lives())
def test_queries_and_titles_are_those_of_the_rules(life: tuple[World, list[int]]) -> None:
    world, calls = life
    assert SPEC.target is not None
    assert SPEC.target.searchify is not None
    step = ResolveByItemStep(SPEC, SPEC.target.searchify)
    state: Tables = {}
    done = -1
    for last in calls:
        events = told_between(world, done, last)
        state, outputs = step.advance(state, events, cut_of(last))
        sealed = [row for row in world.wanted if done < row["window_start_ms"] // LENGTH <= last]
        assert found(outputs) == {key_of(row): slow_query(world, row) for row in sealed}
        titles = {key_of(row): row["title"] for row in outputs["texts"].to_pylist()}
        assert titles == {key_of(row): slow_title(world, calls, row) for row in sealed}
        done = last
    counts = [len(table) for name, table in state.items() if name.startswith(f"{SEGMENT}counts")]
    assert all(one > 2 * other for one, other in pairwise(counts))


def told_between(world: World, done: int, last: int) -> dict[str, pa.Table]:
    """What windows after `done` up to `last` hold, and the items read while `last` was last."""
    tables = {}
    for name, rows, schema in (("shown", world.shown, SHOWN), ("wanted", world.wanted, WANTED)):
        some = [row for row in rows if done < row["window_start_ms"] // LENGTH <= last]
        tables[name] = pa.Table.from_pylist(some, schema)
    items = [row for window, row in world.items if done < window <= last]
    tables["item"] = pa.Table.from_pylist(items, ITEM_SCHEMA)
    return tables


def key_of(row: Row) -> tuple[int, int, str]:
    """What names a question."""
    return row["window_start_ms"], row["user"], row["id"]


def found(outputs: Tables) -> dict[tuple[int, int, str], tuple[str | None, str, float]]:
    """Query, path and score by question; nothing where it was left open."""
    paths = {code: name for name, code in QUERY_PATH_CODES.items()}
    answers = {
        key_of(row): (row["query"], paths[row["path"]], row["score"])
        for row in outputs["answers"].to_pylist()
    }
    left = {key_of(row): (None, "none", 0.0) for row in outputs["unanswered"].to_pylist()}
    assert not answers.keys() & left.keys()
    return answers | left


def slow_query(world: World, asked: Row) -> tuple[str | None, str, float]:
    """Rule 10's first two ways, over all that was ever shown."""
    oldest_ms = asked["window_start_ms"] - MEMORY * LENGTH
    showed = [
        row
        for row in world.shown
        if row["item"] == asked["item"] and oldest_ms <= row["time_ms"] < asked["time_ms"]
    ]
    own = [row for row in showed if row["user"] == asked["user"]]
    if own:
        return min(own, key=lambda row: (-row["time_ms"], row["id"]))["query"], "own", 1.0
    queries = [row["query"] for row in showed]
    if not queries:
        return None, "none", 0.0
    best = min(queries, key=lambda query: (-queries.count(query), query.encode()))
    return best, "co_occurrence", queries.count(best) / len(queries)


def slow_title(world: World, calls: list[int], asked: Row) -> str | None:
    """The title of the item's last version strictly before, as known at the window's cut."""
    cut = cut_of(asked["window_start_ms"] // LENGTH)
    versions = [
        row
        for window, row in world.items
        if hash_one(row["item_id"]) == asked["item"]
        and row["time_ms"] < asked["time_ms"]
        and settled_at(calls, window, row["time_ms"]) <= cut
    ]
    last = min(versions, key=lambda row: (-row["time_ms"], _digest(row)), default=None)
    return None if last is None else last["title"]


def settled_at(calls: list[int], window: int, time_ms: int) -> int:
    """On time at the first cut at or after it; late at the next cut after the one last sealed."""
    last = min(call for call in calls if call >= window)
    first = (time_ms - MATURITY + LENGTH - 1) // LENGTH * LENGTH + MATURITY
    return max(first, cut_of(last) + LENGTH)


def _digest(row: Row) -> bytes:
    return digest(SPEC, Event("item", row, "", 0))


def test_of_requests_of_one_time_the_smaller_id_has_the_users_own_query() -> None:
    assert SPEC.target is not None
    assert SPEC.target.searchify is not None
    lamp = {"window_start_ms": 0, "user": 1, "item": hash_one("lamp")}
    asked = [("b", "small"), ("a", "first"), ("c", "large")]
    world = World(
        shown=[lamp | {"id": one, "time_ms": 7, "query": query} for one, query in asked],
        wanted=[lamp | {"id": "p", "time_ms": 8, "origin": ORIGIN_CODES["searchified_positive"]}],
    )
    step = ResolveByItemStep(SPEC, SPEC.target.searchify)
    _, outputs = step.advance({}, told_between(world, -1, 0), cut_of(0))
    assert found(outputs) == {(0, 1, "p"): ("first", "own", 1.0)}
