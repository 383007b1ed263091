"""Rule 10, by hand: the query of a pseudo-request, and the catalogue that titles come from.

Windows of 10 ms are sealed 40 ms after their end; the source request f is of time 25.
Paths: 0 `own`, 1 `co_occurrence`, 2 `nearest`, 3 `none`.
"""

import dataclasses
from typing import Any

import pytest

from schemas.spec import Searchify, Spec, Target
from tests.oracle import Event, Seal
from tests.oracle.examples import (
    act,
    candidate,
    outcome_of,
    product,
    pseudo_requests,
    read,
    shelve,
    show,
    task,
)
from tests.oracle.identity import digest
from tests.oracle.schedule import Outcome, Step

SOURCE = read(show(25, "f"), act("click", 26))


def remembering(windows: int) -> Spec:
    """A product that remembers the queries of so many windows."""
    searchify = Searchify(negatives=0, floor=0.0, query_memory=windows)
    target = Target("search", hierarchical=False, searchify=searchify)
    return product(task("click", horizon_ms=40), maturity_ms=40, target=target)


SPEC = remembering(2)


def asked(
    time_ms: int, query: str | None, request_id: str = "q", items: Any = "a", user: str = "u"
) -> Event:
    """A request of the target domain."""
    return show(time_ms, request_id, items, user, "find", query=query)


def query_of(outcome: Outcome) -> tuple[str | None, int, float | None]:
    """Query, path and score of the only pseudo-request."""
    [request] = pseudo_requests(outcome)
    return request["query"], request["query_path"], request["query_score"]


def resolved(*steps: Step | Event, spec: Spec = SPEC) -> tuple[str | None, int, float | None]:
    return query_of(outcome_of(spec, *steps, SOURCE))


def test_the_users_own_latest_query_that_exposed_the_item_comes_first() -> None:
    others = [asked(time, "other", f"o{time}", user="v") for time in (21, 22, 23)]
    assert resolved(asked(11, "old"), asked(12, "new", "r"), *others) == ("new", 0, 1.0)
    # Of one millisecond that of the smaller request id.
    assert resolved(asked(12, "é", "é"), asked(12, "z", "z"), *others) == ("z", 0, 1.0)


def test_a_query_of_the_source_requests_own_millisecond_is_none() -> None:
    assert resolved(asked(24, "before")) == ("before", 0, 1.0)
    assert resolved(asked(25, "with")) == (None, 3, None)


@pytest.mark.parametrize(("windows", "earliest"), [(0, 20), (1, 10), (2, 0)])
def test_queries_are_remembered_for_whole_windows(windows: int, earliest: int) -> None:
    # f is of window [20, 30).
    spec = remembering(windows)
    assert resolved(asked(earliest, "red"), spec=spec) == ("red", 0, 1.0)
    if earliest:
        assert resolved(asked(earliest - 1, "red"), spec=spec) == (None, 3, None)


def test_an_empty_or_missing_query_is_none() -> None:
    earlier = asked(11, "red")
    for query in ("", None):
        assert resolved(earlier, asked(12, query, "r")) == ("red", 0, 1.0)


def test_a_query_that_did_not_expose_the_item_is_not_its_own() -> None:
    hidden = [candidate("a", 0, exposed=False), candidate("b", 1)]
    assert resolved(asked(11, "red", items=hidden)) == (None, 3, None)
    assert resolved(asked(11, "red", items="b")) == (None, 3, None)


def test_a_query_of_another_domain_is_none() -> None:
    foreign = [show(11, "m", scenario="mall", query="red"), show(12, "g", query="red")]
    assert resolved(*foreign) == (None, 3, None)


def test_else_the_query_that_most_requests_with_the_item_had_and_its_share() -> None:
    others = [
        asked(11, "rare", "1", user="v"),
        asked(12, "often", "2", user="v"),
        asked(13, "often", "3", user="w"),
        asked(14, "elsewhere", "4", "b", user="w"),
    ]
    assert resolved(*others) == ("often", 1, 2 / 3)
    # One user asking twice counts twice.
    twice = [asked(15, "rare", "5", user="v"), asked(16, "rare", "6", user="v")]
    assert resolved(*others, *twice) == ("rare", 1, 3 / 5)


def test_of_equally_frequent_queries_the_smaller_by_bytes() -> None:
    # In UTF-8 z comes before é; case matters.
    others = [asked(11, "é", "1", user="v"), asked(12, "z", "2", user="v")]
    assert resolved(*others) == ("z", 1, 0.5)
    others = [asked(11, "red", "1", user="v"), asked(12, "Red", "2", user="v")]
    assert resolved(*others) == ("Red", 1, 0.5)


def test_else_the_query_nearest_to_the_title() -> None:
    # "red hat" has 8 grams, "red" 4 of them and "blue hat" 4 of its 9: 0.71 before 0.47.
    title = shelve("a", 0, "red hat")
    others = [asked(11, "red", "1", "b"), asked(12, "blue hat", "2", "b", user="v")]
    assert resolved(title, *others) == ("red", 2, 4 / 32**0.5)
    assert resolved(title, others[1]) == ("blue hat", 2, 4 / 72**0.5)


def test_of_equally_near_queries_the_smaller_by_bytes() -> None:
    # Both halves of the title have four of its eight grams; "HAT" is embedded like "hat".
    title = shelve("a", 0, "red hat")
    queries = [asked(11, "red", "1", "b"), asked(12, "hat", "2", "b"), asked(13, "HAT", "3", "b")]
    assert resolved(title, *queries) == ("HAT", 2, 4 / 32**0.5)
    assert resolved(title, *queries[:2]) == ("hat", 2, 4 / 32**0.5)


def test_a_query_that_is_in_no_way_near_is_not_the_nearest() -> None:
    for title, query in (("red", "hat"), ("blue", "shoes"), ("red", " "), ("", "red")):
        assert resolved(shelve("a", 0, title), asked(11, query, items="b")) == (None, 3, None)


def test_without_a_title_nothing_is_near() -> None:
    query = asked(11, "red", items="b")
    assert resolved(query) == (None, 3, None)
    assert resolved(query, shelve("a", 0, None)) == (None, 3, None)


def test_the_nearest_is_by_title_alone() -> None:
    # The catalogue's other words do not count: see the tests of negatives for those that do.
    searchify = Searchify(negatives=0, floor=0.0, query_memory=2, text=("brand",))
    target = dataclasses.replace(SPEC.target or Target("search"), searchify=searchify)
    spec = dataclasses.replace(SPEC, target=target)
    title = shelve("a", 0, "red", brand="hat")
    assert resolved(title, asked(11, "hat", items="b"), spec=spec) == (None, 3, None)


def test_each_path_is_counted_and_a_missing_query_once_more() -> None:
    outcome = outcome_of(SPEC, SOURCE)
    assert (outcome.counters["query/none"], outcome.counters["no_query"]) == (1, 1)
    cases = {
        "own": [asked(11, "red")],
        "co_occurrence": [asked(11, "red", user="v")],
        "nearest": [asked(11, "red", items="b"), shelve("a", 0, "red")],
    }
    for path, events in cases.items():
        outcome = outcome_of(SPEC, *events, SOURCE)
        assert outcome.counters[f"query/{path}"] == 1
        assert outcome.counters["no_query"] == 0


def test_the_query_is_what_was_known_when_the_source_was_sealed() -> None:
    # Read in another order, or after other windows were sealed, nothing changes.
    later = asked(27, "later", "l")
    assert query_of(outcome_of(SPEC, SOURCE, later, asked(11, "red"))) == ("red", 0, 1.0)
    assert query_of(outcome_of(SPEC, asked(11, "red"), Seal(20), SOURCE)) == ("red", 0, 1.0)


# The catalogue


def title_known(*steps: Step | Event) -> str | None:
    """Which of four titles the nearest query tells: each is asked for, item a has one."""
    words = ("red", "hat", "blue", "sock")
    queries = [asked(11, word, word, "b") for word in words]
    return query_of(outcome_of(SPEC, *queries, *steps))[0]


def test_a_title_is_the_items_last_one_strictly_before_the_source_however_old() -> None:
    versions = [shelve("a", 0, "red"), shelve("a", 24, "hat"), shelve("a", 25, "blue")]
    assert title_known(*versions, SOURCE) == "hat"
    assert title_known(*reversed(versions), SOURCE) == "hat"
    assert title_known(versions[0], versions[2], SOURCE) == "red"
    assert title_known(versions[2], SOURCE) is None
    assert title_known(shelve("b", 0, "red"), SOURCE) is None


def test_the_last_version_counts_even_if_it_has_no_title() -> None:
    assert title_known(shelve("a", 0, "red"), shelve("a", 24, None), SOURCE) is None


def test_a_late_item_event_acts_from_the_next_cut_on() -> None:
    # [20, 30) is sealed at 70. Read while the last cut is 60, an event of time 5 acts at 70.
    old, late = shelve("a", 0, "red"), shelve("a", 5, "hat")
    assert title_known(old, SOURCE, Seal(60), late) == "hat"
    assert title_known(old, SOURCE, Seal(70), late) == "red"


def test_of_item_events_of_one_time_the_smaller_digest_lives_and_others_are_duplicates() -> None:
    one, two = shelve("a", 5, "red"), shelve("a", 5, "hat", row=1)
    smaller = min(one, two, key=lambda event: digest(SPEC, event)).fields["title"]
    outcome = outcome_of(
        SPEC, asked(11, "red", "1", "b"), asked(12, "hat", "2", "b"), one, two, SOURCE
    )
    assert query_of(outcome)[0] == smaller
    assert outcome.counters["duplicate"] == 1
    assert outcome.counters["accepted/shelf"] == 1


def test_a_copy_of_a_settled_item_event_is_a_duplicate_whatever_it_says() -> None:
    one, two = shelve("a", 5, "red"), shelve("a", 5, "hat", row=1)
    for first, second in ((one, two), (two, one)):
        assert title_known(first, Seal(10), second, SOURCE) == first.fields["title"]
