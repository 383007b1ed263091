"""Rules 10 and 12, by hand: what a pseudo-request shows, and where it stands.

Windows of 10 ms are sealed 20 ms after their end; the source request f is of time 5.
"""

import dataclasses
from io import BytesIO
from typing import Any

import fastavro

from schemas.hashing import hash_one
from schemas.record import user_window_avro
from schemas.spec import Feature, Searchify, Sequences, Spec, Target
from tests.oracle import Event
from tests.oracle.examples import (
    act,
    candidate,
    outcome_of,
    product,
    pseudo_requests,
    read,
    request_of,
    requests_of,
    shelve,
    show,
    task,
)
from tests.oracle.schedule import Outcome

SEARCHIFY = Searchify(negatives=2, floor=0.0, query_memory=1)
TARGET = Target("search", hierarchical=False, unexposed=1, searchify=SEARCHIFY)
F_A = "7b2e7dfa4503a6e2"


def spec_of(*features: Feature, **changes: Any) -> Spec:
    tasks = (task("click", horizon_ms=40), task("buy", horizon_ms=40))
    spec = product(*tasks, maturity_ms=20, target=TARGET, features=features)
    return dataclasses.replace(spec, **changes)


def pseudo(outcome: Outcome) -> dict[str, Any]:
    [request] = pseudo_requests(outcome)
    return request


def test_a_request_and_its_pseudo_request_side_by_side() -> None:
    titles = [shelve(item, 0, "red hat" if item == "a" else "red") for item in "abc"]
    items = [candidate("c", 1), candidate("a", 4), candidate("b", 7), candidate("d", 9, False)]
    asked = show(3, "q", "z", scenario="find", query="hat")
    outcome = outcome_of(spec_of(), *titles, asked, show(5, "f", items), act("click", 6, "c"))
    native = request_of(outcome, "f")
    assert (native["source_request"], native["query_path"], native["query_score"]) == (
        None,
        None,
        None,
    )
    request = pseudo(outcome)
    candidates = request.pop("candidates")
    assert request == {
        "id": F_A,
        "time_ms": 5,
        "scenario": "front",
        "domain": "search",
        "origin_domain": "feed",
        "query": "hat",
        "source_request": "f",
        "query_path": 2,
        "query_score": 4 / 32**0.5,
    }
    # The positive stands among its negatives by position; d was not exposed.
    assert candidates.pop("labels").keys() == {"buy", "click"}
    assert candidates == {
        "item": [hash_one(item) for item in "cab"],
        "item_id": ["c", "a", "b"],
        "origin": [3, 2, 3],
        "position": [1, 4, 7],
        "probability": [1.0, 1.0, 1.0],
    }


def features_of(owner: Any, default: Any = "other") -> tuple[Feature, ...]:
    """One that all domains log, and ones that some log; all but the list with a default."""

    def one(name: str, *domains: str, kind: Any = "id") -> Feature:
        given = None if kind == "ids" else 0.5 if kind == "number" else default
        return Feature(f"{owner}_{name}", owner, kind, default=given, domains=domains)

    return (
        one("all"),
        one("both", "feed", "search"),
        one("source", "feed"),
        one("target", "search"),
        one("shop", "shop"),
        one("list", "search", kind="ids"),
        one("size", "search", kind="number"),
        one("null", kind="number"),
    )


def values_of(owner: str) -> dict[str, Any]:
    named = dict.fromkeys(("all", "both", "source", "target", "shop"), "x")
    values = {**named, "list": ["x"], "size": 2.0, "null": None}
    return {f"{owner}_{name}": value for name, value in values.items()}


def shown_of(owner: str, values: dict[str, Any]) -> list[Any]:
    names = ("all", "both", "source", "target", "shop", "list", "size", "null")
    return [values[f"{owner}_{name}"] for name in names]


def test_features_of_user_and_context_are_the_sources_where_both_domains_log_them() -> None:
    x = hash_one("x")
    for owner in ("user", "context"):
        shown = show(5, "f", **values_of(owner))
        outcome = outcome_of(spec_of(*features_of(owner)), shown, act("click", 6))
        # Native: what feed does not log is missing, not its default; a null takes the default.
        native = shown_of(owner, request_of(outcome, "f"))
        assert native == [x, x, x, None, None, [], None, 0.5]
        # Aligned: what the target knows and the source does not is missing, not its default.
        assert shown_of(owner, pseudo(outcome)) == [x, x, None, None, None, [], None, 0.5]


def test_features_of_the_query_are_missing() -> None:
    shown = show(5, "f", **values_of("query"))
    outcome = outcome_of(spec_of(*features_of("query")), shown, act("click", 6))
    expected = [None, None, None, None, None, [], None, None]
    assert shown_of("query", pseudo(outcome)) == expected


def test_features_of_candidates_are_the_source_candidates_where_both_domains_log_them() -> None:
    x = hash_one("x")
    for owner in ("item", "cross"):
        shown = show(5, "f", [candidate("a", 0, **values_of(owner))])
        outcome = outcome_of(spec_of(*features_of(owner)), shown, act("click", 6))
        [native] = zip(*shown_of(owner, request_of(outcome, "f")["candidates"]), strict=True)
        assert native == (x, x, x, None, None, [], None, 0.5)
        [aligned] = zip(*shown_of(owner, pseudo(outcome)["candidates"]), strict=True)
        assert aligned == (x, x, None, None, None, [], None, 0.5)


def test_a_feature_of_a_domain_is_shown_in_that_domain() -> None:
    shown = show(5, "s", scenario="find", **values_of("user"))
    outcome = outcome_of(spec_of(*features_of("user")), shown)
    x = hash_one("x")
    expected = [x, x, None, x, None, [x], 2.0, 0.5]
    assert shown_of("user", request_of(outcome, "s")) == expected


def match(*domains: str) -> Feature:
    return Feature(
        "match", "cross", "number", default=9.0, domains=domains, recipe="query_title_similarity"
    )


def matches(outcome: Outcome) -> dict[str, float | None]:
    candidates = pseudo(outcome)["candidates"]
    return dict(zip(candidates["item_id"], candidates["match"], strict=True))


def test_a_cross_feature_with_a_recipe_is_computed_again() -> None:
    # "hat" has 4 of the 8 grams of "red hat" and none of those of "red".
    titles = [shelve("a", 0, "red hat"), shelve("b", 0, "red"), shelve("a", 5, "sock")]
    asked = show(3, "q", "z", scenario="find", query="hat")
    items = [candidate(item, place, match=7.0) for place, item in enumerate("ab")]
    events = [*titles, asked, show(5, "f", items), act("click", 6)]
    for domains in ((), ("search",), ("feed", "search")):
        outcome = outcome_of(spec_of(match(*domains)), *events)
        assert matches(outcome) == {"a": 4 / 32**0.5, "b": 0.0}
    # The target does not log it.
    assert matches(outcome_of(spec_of(match("feed")), *events)) == {"a": None, "b": None}
    # A native request shows what was logged.
    native = request_of(outcome_of(spec_of(match()), *events), "f")
    assert native["candidates"]["match"] == [7.0, 7.0]


def test_a_recipe_without_query_or_title_gives_a_missing_value() -> None:
    items = [candidate("a", 0, match=7.0)]
    shown, title = show(5, "f", items), shelve("a", 0, "red")
    asked = show(3, "q", "a", scenario="find", query="red")
    cases: list[tuple[list[Event], float | None]] = [
        ([title, asked], 1.0),
        ([title], None),
        ([asked], None),
        ([shelve("a", 0, None), asked], None),
        ([shelve("a", 0, ""), asked], 0.0),
    ]
    for events, expected in cases:
        outcome = outcome_of(spec_of(match()), *events, shown, act("click", 6))
        assert matches(outcome) == {"a": expected}


def test_a_feature_that_an_action_carries_is_shown_whatever_domain_it_is_of() -> None:
    brand = Feature("brand", "item", "id", default="other", domains=("search",))
    sequences = Sequences(("click",), history=2, recent=2, features=("brand",))
    spec = spec_of(brand, sequences=sequences)
    done = read(act("click", 3, "1", brand="x"), act("click", 4, "2", brand=None))
    [user] = outcome_of(spec, done, show(5, "f")).windows[0].users
    assert user["recent"]["brand"] == [hash_one("x"), hash_one("other")]


# Order


def test_pseudo_requests_stand_after_native_ones_of_their_time_by_source_and_item() -> None:
    shown = [show(5, "g", "b"), show(5, "f", "ba"), show(5, "z"), show(4, "é"), show(6, "a")]
    clicks = [
        act("click", 7, request + item, item=item, request_id=request)
        for request, item in (("g", "b"), ("f", "b"), ("f", "a"), ("é", "a"))
    ]
    outcome = outcome_of(spec_of(), read(*shown, *clicks))
    order = [
        request["id"]
        if request["source_request"] is None
        else (request["source_request"], request["candidates"]["item_id"][0])
        for request in requests_of(outcome)
    ]
    assert order == ["é", ("é", "a"), "f", "g", "z", ("f", "a"), ("f", "b"), ("g", "b"), "a"]


def test_revisions_of_pseudo_requests_stand_after_those_of_native_ones_of_their_time() -> None:
    # The ids of the pseudo-requests would order f's two the other way round: 7b… for a, 0d… for b.
    shown = read(show(5, "f", "ab"), show(5, "z"), show(6, "g"))
    clicks = [act("click", 7, item, item=item, request_id="f") for item in "ab"]
    bought = [act("buy", 31, item, item=item, request_id="f") for item in "ab"]
    bought.append(act("buy", 31, "z", request_id="z"))
    bought.append(act("buy", 31, "g", request_id="g"))
    outcome = outcome_of(spec_of(), shown, *clicks, read(*bought))
    keys = [(one["request_id"], one["item_id"]) for one in outcome.windows[10].revisions]
    assert keys == [
        ("f", "a"),
        ("f", "b"),
        ("z", "a"),
        (F_A, "a"),
        ("0d6647337ac0d12d", "b"),
        ("g", "a"),
    ]


def test_records_with_pseudo_requests_are_what_fastavro_reads_back() -> None:
    spec = spec_of(*features_of("user"), *features_of("item"))
    shown = show(5, "f", [candidate("a", 0, **values_of("item"))], **values_of("user"))
    users = outcome_of(spec, shown, act("click", 6)).windows[0].users
    file = BytesIO()
    fastavro.writer(file, user_window_avro(spec), users)
    file.seek(0)
    assert list(fastavro.reader(file)) == users
