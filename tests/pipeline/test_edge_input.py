"""Input that leaves the entire space little to work with: used as far as it goes, and counted.

Every case runs through the driver and is worked out by hand; all but the longest are compared with
the oracle, too. The
small world's windows last 10 s; search keeps one unexposed candidate, feed clicks become requests
with at most two negatives.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import xxhash

from pipelines.drivers.direct import run
from schemas.labels import ORIGIN_CODES, QUERY_PATHS
from schemas.windows import WindowStore
from tests.oracle import Event, Read, SealAll
from tests.oracle import run as run_oracle
from tests.pipeline.small_world import Events, small_spec, write_json_lines
from tests.pipeline.test_direct_driver import FAR_MS, records, settings

EXPOSED, UNEXPOSED, POSITIVE, NEGATIVE = (
    ORIGIN_CODES[name]
    for name in ("exposed", "unexposed", "searchified_positive", "searchified_negative")
)
Candidates = list[tuple[str, bool]]
"""Item and whether it was exposed, from position 0."""


@dataclass(frozen=True)
class Result:
    """What the driver made: requests by (user, id), pseudo ones apart, and counts."""

    native: dict[tuple[str, str], dict[str, Any]]
    pseudo: list[dict[str, Any]]
    counts: Counter[str]

    def searchified(self) -> dict[str, int]:
        """The counts of rule 10, those of nothing left out."""
        names = ("searchify/", "query/", "no_query")
        return {n: c for n, c in sorted(self.counts.items()) if n.startswith(names) and c}


def result_of(folder: Path, oracle_too: bool = True, **streams: list[dict[str, Any]]) -> Result:
    """Run these events, and make sure that the oracle gives the same records."""
    events: Events = dict(streams)
    write_json_lines(events, folder / "events")
    summary = run(settings(folder))
    received = records(WindowStore(folder / "windows"))
    assert not oracle_too or received == oracle_records(events)
    assert not any(name.startswith("dead/") for name in summary.totals)
    users = [user for start in sorted(received) for user in received[start]]
    requests = [(user["user_id"], one) for user in users for one in user["requests"]]
    native = {(u, one["id"]): one for u, one in requests if one["source_request"] is None}
    pseudo = [one for _, one in requests if one["source_request"] is not None]
    return Result(native, pseudo, summary.totals)


def oracle_records(events: Events) -> dict[int, list[dict[str, Any]]]:
    """All user records by window, as the oracle has them."""
    told = [
        Event(s, fields, "", row) for s, rows in events.items() for row, fields in enumerate(rows)
    ]
    outcome = run_oracle(small_spec(), [Read(told, FAR_MS), SealAll()])
    return {start: window.users for start, window in outcome.windows.items()}


def request(
    name: str, time_ms: int, scenario: str, candidates: Candidates, query: str | None = None
) -> dict[str, Any]:
    """A request of user u, of whom nothing else is known."""
    blank = {"brand": None, "tags": None, "likeness": None}
    return {
        "request_id": name,
        "user_id": "u",
        "time_ms": time_ms,
        "scenario": scenario,
        "query": query,
        "age": None,
        "country": None,
        "candidates": [
            {"item_id": item, "position": position, "exposed": exposed, **blank}
            for position, (item, exposed) in enumerate(candidates)
        ],
    }


def click(time_ms: int, item: str, scenario: str | None = "home", **other: Any) -> dict[str, Any]:
    """A click of user u."""
    fields = {"event_id": f"{item}-{time_ms}", "user_id": "u", "time_ms": time_ms, "item_id": item}
    named = {"scenario": scenario, "request_id": None, "value": None, "brand": None}
    return {**fields, **named, **other}


def titled(item: str, title: str | None) -> dict[str, Any]:
    """An item known from the beginning."""
    return {"item_id": item, "time_ms": 0, "title": title, "brand": None, "tags": None}


def shown(items: str) -> Candidates:
    return [(item, True) for item in items]


def of_samples(one: dict[str, Any], *names: str) -> list[tuple[Any, ...]]:
    """A request's samples as tuples."""
    return list(zip(*(one["candidates"][name] for name in names), strict=True))


def test_a_foreign_click_that_no_request_explains_is_counted_and_makes_nothing(
    tmp_path: Path,
) -> None:
    result = result_of(
        tmp_path,
        exposure=[
            request("f", 1_000, "home", shown("ab")),
            request("s", 2_000, "results", shown("c")),
        ],
        click=[
            click(3_000, "x"),  # never shown
            click(3_100, "a", user_id="nobody"),
            click(3_200, "a", request_id="gone", user_id="v"),
            click(500, "a"),  # before the request
            click(15_000, "b"),  # 14 s after it: beyond the horizon of 8 s
            click(3_300, "x", scenario=None),  # of no domain: no foreign click
        ],
        item=[titled(item, "red") for item in "abx"],
    )
    assert result.searchified() == {"searchify/unlinked": 5}
    assert result.pseudo == []
    unplaced = result.counts["no_sample/click"] + result.counts["before_request/click"]
    assert unplaced == 6
    labels = [one["candidates"]["labels"]["click"]["value"] for one in result.native.values()]
    assert sorted(labels) == [[0.0], [0.0, 0.0]]


def test_an_item_without_a_title_is_no_negative_and_as_a_positive_stands_alone(
    tmp_path: Path,
) -> None:
    # a and b have titles; that of c is null, d is not in the catalogue.
    result = result_of(
        tmp_path,
        exposure=[
            request("s", 500, "results", shown("z"), "red shoes"),
            request("f", 1_000, "home", shown("abcd")),
            request("g", 2_000, "home", shown("cab")),
            request("h", 3_000, "home", shown("dab")),
        ],
        click=[click(1_500, "a"), click(2_500, "c"), click(3_500, "d")],
        item=[titled("a", "red shoes"), titled("b", "red shoes"), titled("c", None)],
    )
    made = {one["source_request"]: one for one in result.pseudo}
    assert of_samples(made["f"], "item_id", "origin") == [("a", POSITIVE), ("b", NEGATIVE)]
    assert (made["f"]["query"], made["f"]["query_score"]) == ("red shoes", 1.0)
    for source, item in (("g", "c"), ("h", "d")):
        assert of_samples(made[source], "item_id", "origin") == [(item, POSITIVE)]
        assert (made[source]["query"], made[source]["query_score"]) == (None, None)
    assert result.searchified() == {
        "no_query": 2,
        "query/nearest": 1,
        "query/none": 2,
        "searchify/made": 3,
    }


@pytest.mark.parametrize("query", ["a hat", "赤い帽子", "🎩🎩🎩", "\u00a0 Hat\u0301 "])
def test_a_query_that_nobody_asked_before_is_found_from_then_on_and_not_earlier(
    tmp_path: Path, query: str
) -> None:
    # The item is called as the query; the only other query has nothing in common with it.
    result = result_of(
        tmp_path,
        exposure=[
            request("old", 500, "results", shown("z"), "qwxyz"),
            request("before", 12_000, "home", shown("a")),
            request("new", 13_000, "results", shown("z"), query),
            request("after", 14_000, "home", shown("a")),
        ],
        click=[click(12_500, "a"), click(14_500, "a")],
        item=[titled("a", query)],
    )
    made = {one["source_request"]: one for one in result.pseudo}
    found = {source: (one["query"], one["query_score"]) for source, one in made.items()}
    assert found == {"before": (None, None), "after": (query, pytest.approx(1.0))}
    assert result.native["u", "new"]["query"] == query
    assert result.searchified() == {
        "no_query": 1,
        "query/nearest": 1,
        "query/none": 1,
        "searchify/made": 2,
    }


def test_a_list_of_one_candidate_is_kept_whole(tmp_path: Path) -> None:
    result = result_of(
        tmp_path,
        exposure=[
            request("s", 1_000, "results", shown("a"), "red"),
            request("t", 2_000, "results", [("b", False)], "red"),
            request("f", 3_000, "home", shown("c")),
        ],
        click=[click(4_000, "c"), click(4_500, "b", scenario="results")],
        item=[titled(item, "red") for item in "abc"],
    )
    names = ("item_id", "origin", "position", "probability")
    assert of_samples(result.native["u", "s"], *names) == [("a", EXPOSED, 0, 1.0)]
    assert of_samples(result.native["u", "t"], *names) == [("b", UNEXPOSED, 0, 1.0)]
    [made] = result.pseudo
    assert of_samples(made, *names) == [("c", POSITIVE, 0, 1.0)]
    assert (made["query"], made["query_path"]) == ("red", QUERY_PATHS.index("nearest"))
    # A search's own click does not go to what it did not show.
    assert result.native["u", "t"]["candidates"]["labels"]["click"]["value"] == [0.0]
    assert result.counts["no_sample/click"] == 1


LONG = 10_000


def test_a_list_of_ten_thousand_candidates_is_ranked_whole(tmp_path: Path) -> None:
    # One candidate of the search is exposed; its last 100 places repeat its first unexposed ones.
    # The oracle, which asks every item of every other, would take an hour.
    hidden = [f"h{number}" for number in range(LONG - 101)]
    search = [("top", True), *((item, False) for item in hidden + hidden[:100])]
    feed = [(f"n{number}", True) for number in range(LONG)]
    titles = {"n0": "red shoes", "n7777": "red shoes", "n9999": "red shoe"}
    result = result_of(
        tmp_path,
        oracle_too=False,
        exposure=[request("s", 1_000, "results", search, "red"), request("f", 2_000, "home", feed)],
        click=[click(3_000, "n0")],
        item=[titled(item, titles.get(item, "blue hat")) for item, _ in feed],
    )
    chosen = min(hidden, key=lambda item: xxhash.xxh3_64_intdigest(f"0\0s\0{item}".encode()))
    names = ("item_id", "origin", "position", "probability")
    assert of_samples(result.native["u", "s"], *names) == [
        ("top", EXPOSED, 0, 1.0),
        (chosen, UNEXPOSED, hidden.index(chosen) + 1, pytest.approx(1 / len(hidden))),
    ]
    assert result.counts["repeated_item"] == 100
    candidates = result.native["u", "f"]["candidates"]
    assert candidates["item_id"] == [item for item, _ in feed]
    assert sum(candidates["labels"]["click"]["value"]) == 1.0
    [made] = result.pseudo
    assert of_samples(made, "item_id", "origin", "position") == [
        ("n0", POSITIVE, 0),
        ("n7777", NEGATIVE, 7777),
        ("n9999", NEGATIVE, 9999),
    ]


@pytest.mark.parametrize("searches", ["none", "without words"])
def test_without_any_query_in_the_corpus_requests_are_made_without_one(
    tmp_path: Path, searches: str
) -> None:
    feeds = [request(f"f{n}", 1_000 + 10_000 * n, "home", shown("ab")) for n in range(3)]
    blank = [
        request(f"s{n}", 500 + 10_000 * n, "results", shown("z"), q)
        for n, q in ((0, None), (1, ""))
    ]
    result = result_of(
        tmp_path,
        exposure=feeds + (blank if searches == "without words" else []),
        click=[click(2_000 + 10_000 * n, "a") for n in range(3)],
        item=[titled(item, "red shoes") for item in "ab"],
    )
    assert [one["query"] for one in result.pseudo] == [None] * 3
    assert [one["query_score"] for one in result.pseudo] == [None] * 3
    assert {one["query_path"] for one in result.pseudo} == {QUERY_PATHS.index("none")}
    for one in result.pseudo:
        assert of_samples(one, "item_id", "origin") == [("a", POSITIVE), ("b", NEGATIVE)]
        assert one["candidates"]["labels"]["click"]["value"] == [1.0, 0.0]
    assert result.searchified() == {"no_query": 3, "query/none": 3, "searchify/made": 3}
