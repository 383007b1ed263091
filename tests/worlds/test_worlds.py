"""What must hold of the oracle in any world."""

import dataclasses
from collections import Counter
from collections.abc import Callable
from io import BytesIO
from random import Random
from typing import Any

import fastavro
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from schemas.labels import ORIGIN_CODES, QUERY_PATHS, TIER_CODES
from schemas.record import revision_avro, user_window_avro
from tests.oracle import Event, Outcome, Read, Schedule, Seal, SealAll, run
from tests.worlds import World, target_worlds, worlds
from tests.worlds.schedules import FAR_MS

RANDOM = st.randoms(use_true_random=False)


def any_worlds(**wanted: bool) -> st.SearchStrategy[World]:
    """Worlds with and without a target domain."""
    return worlds(**wanted) | target_worlds(**wanted)


def reread(schedule: Schedule, change: Callable[[Read], list[Read]]) -> Schedule:
    steps: list[Any] = []
    for step in schedule:
        steps += change(step) if isinstance(step, Read) else [step]
    return steps


def events_of(schedule: Schedule) -> list[Event]:
    return [event for step in schedule if isinstance(step, Read) for event in step.events]


@given(any_worlds(), RANDOM)
def test_the_order_of_events_within_a_read_changes_nothing(world: World, random: Random) -> None:
    def shuffle(read: Read) -> list[Read]:
        return [Read(random.sample(read.events, len(read.events)), read.now_ms)]

    shuffled = World(world.spec, reread(world.schedule, shuffle))
    assert outcome_of(shuffled) == outcome_of(world)


def outcome_of(world: World) -> Outcome:
    """Dead letters by what they say: of equal copies any may be the one that was buried."""
    outcome = run(*world)
    said = {event.row: repr(sorted(event.fields.items())) for event in events_of(world.schedule)}
    letters = [(stream, said[row], 0, why) for stream, _, row, why in outcome.dead_letters]
    return dataclasses.replace(outcome, dead_letters=sorted(letters))


@given(any_worlds(), st.integers(1, 3))
def test_splitting_a_read_without_a_seal_between_changes_nothing(world: World, size: int) -> None:
    def split(read: Read) -> list[Read]:
        parts = range(0, len(read.events), size)
        return [Read(read.events[part : part + size], read.now_ms) for part in parts]

    assert run(world.spec, reread(world.schedule, split)) == run(*world)


@given(any_worlds())
def test_how_far_the_watermark_moves_at_once_changes_nothing(world: World) -> None:
    steps: list[Any] = []
    last_ms: int | None = None
    for step in world.schedule:
        if isinstance(step, Seal):
            first_ms = step.cut_ms if last_ms is None else last_ms
            steps += map(Seal, range(first_ms, step.cut_ms, world.spec.window.length_ms))
            last_ms = step.cut_ms
        steps.append(step)
    assert run(world.spec, steps) == run(*world)


@given(any_worlds(late=False, clocks=False, final=True))
def test_without_late_events_the_outcome_is_a_function_of_the_set_of_events(world: World) -> None:
    at_once = World(world.spec, [Read(events_of(world.schedule), FAR_MS), SealAll()])
    assert outcome_of(at_once) == outcome_of(world)


@given(any_worlds(final=True))
def test_every_event_is_accepted_or_a_duplicate_or_a_dead_letter(world: World) -> None:
    outcome = run(*world)
    accepted = total(outcome.counters, "accepted/")
    refused = [letter for letter in outcome.dead_letters if letter[3] != "unmatched"]
    counted = accepted + outcome.counters["duplicate"] + len(refused)
    assert counted == len(events_of(world.schedule))
    assert total(outcome.counters, "late/") <= accepted


def total(counters: Counter[str], prefix: str) -> int:
    return sum(count for name, count in counters.items() if name.startswith(prefix))


@given(any_worlds())
def test_sealed_windows_never_change(world: World) -> None:
    whole = run(*world)
    for end in range(len(world.schedule)):
        sealed = run(world.spec, world.schedule[:end]).windows
        assert sealed == {start: whole.windows[start] for start in sealed}


@given(any_worlds(final=True))
def test_each_revision_starts_from_the_label_that_was_published_last(world: World) -> None:
    shown: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    windows = run(*world).windows
    for start in sorted(windows):
        for revision in windows[start].revisions:
            sample = tuple(revision[name] for name in SAMPLE)
            assert shown[sample] == label_of(revision, "old_")
            assert shown[sample][:4] != label_of(revision, "new_")[:4]
            shown[sample] = label_of(revision, "new_")
        for user in windows[start].users:
            shown |= published(user)


SAMPLE = ("user_id", "request_time_ms", "request_id", "item_id", "task")
LABEL = ("value", "tier", "event_id", "time_ms", "open")


def label_of(values: dict[str, Any], prefix: str) -> tuple[Any, ...]:
    return tuple(values[prefix + name] for name in LABEL)


def published(user: dict[str, Any]) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    return {
        (user["user_id"], request["time_ms"], request["id"], item, task): tuple(
            labels[name][index] for name in LABEL
        )
        for request in user["requests"]
        for task, labels in request["candidates"]["labels"].items()
        for index, item in enumerate(request["candidates"]["item_id"])
    }


@given(any_worlds())
def test_records_and_revisions_are_what_fastavro_reads_back(world: World) -> None:
    for window in run(*world).windows.values():
        assert round_trip(user_window_avro(world.spec), window.users) == window.users
        assert round_trip(revision_avro(), window.revisions) == window.revisions


def round_trip(schema: dict[str, Any], records: list[dict[str, Any]]) -> list[Any]:
    file = BytesIO()
    fastavro.writer(file, schema, records)
    file.seek(0)
    return list(fastavro.reader(file))


def has_counter(name: str) -> Callable[[Outcome], bool]:
    return lambda outcome: total(outcome.counters, name) > 0


def has_reason(reason: str) -> Callable[[Outcome], bool]:
    return lambda outcome: any(letter[3] == reason for letter in outcome.dead_letters)


def has_revision(**wanted: object) -> Callable[[Outcome], bool]:
    return lambda outcome: any(
        all(revision[name] == value for name, value in wanted.items())
        for window in outcome.windows.values()
        for revision in window.revisions
    )


COUNTERS = ("duplicate", "repeated_item", "closed", "no_sample/", "before_request/")
LATE = ("late/click", "late/buy", "late/refund", "late/shelf")
REASONS = (
    *("future", "bad_time", "unknown_scenario", "unknown_stream", "missing_value", "bad_number"),
    *("no_candidates", "bad_position", "late", "unmatched"),
)
REACHED = {
    **{name: has_counter(name) for name in (*COUNTERS, *LATE)},
    **{f"dead letter {reason}": has_reason(reason) for reason in REASONS},
    "revision": has_revision(retraction=False, late=False),
    "late revision": has_revision(retraction=False, late=True),
    "retraction": has_revision(retraction=True, late=False),
    "late retraction": has_revision(retraction=True, late=True),
    "retraction to nothing": has_revision(retraction=True, new_event_id=None),
}


def shows(name: str, code: int) -> Callable[[Outcome], bool]:
    """Some candidate has this code, for a tier in a label, else in the candidate itself."""
    return lambda outcome: any(
        code in column
        for window in outcome.windows.values()
        for user in window.users
        for request in user["requests"]
        for column in columns_of(request["candidates"], name)
    )


def columns_of(candidates: dict[str, Any], name: str) -> list[list[Any]]:
    if name == "origin":
        return [candidates["origin"]]
    return [labels[name] for labels in candidates["labels"].values()]


CLICKS = ("unlinked", "after_cut", "retracted", "repeat", "made")
REACHED_IN_TARGET = {
    **{f"searchify/{what}": has_counter(f"searchify/{what}") for what in CLICKS},
    **{f"query/{path}": has_counter(f"query/{path}") for path in QUERY_PATHS},
    "no_query": has_counter("no_query"),
    **{f"tier {tier}": shows("tier", code) for tier, code in TIER_CODES.items()},
    **{f"origin {origin}": shows("origin", code) for origin, code in ORIGIN_CODES.items()},
    "closed": has_counter("closed"),
    "late item event": has_counter("late/shelf"),
    **{
        f"revision to {tier}": has_revision(new_tier=TIER_CODES[tier])
        for tier in ("clicked", "exposed", "unexposed", "searchified")
    },
    "retraction of searchified": has_revision(old_tier=TIER_CODES["searchified"], retraction=True),
    "late searchified": has_revision(new_tier=TIER_CODES["searchified"], late=True),
}


class AllReached(Exception):
    """Nothing is left to look for."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("found", "reached"), [(worlds(), REACHED), (target_worlds(), REACHED_IN_TARGET)]
)
def test_worlds_reach_every_reason_counter_and_kind_of_revision(
    found: st.SearchStrategy[World], reached: dict[str, Callable[[Outcome], bool]]
) -> None:
    missing = set(reached)

    @settings(max_examples=4000, derandomize=True, phases=[Phase.generate], deadline=None)
    @given(found)
    def look(world: World) -> None:
        outcome = run(*world)
        missing.difference_update([what for what in missing if reached[what](outcome)])
        if not missing:
            raise AllReached

    with pytest.raises(AllReached):
        look()
