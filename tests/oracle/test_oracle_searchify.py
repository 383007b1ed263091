"""Rule 10, by hand: which foreign clicks become pseudo-requests, and with what negatives.

The target is search; windows of 10 ms are sealed 20 ms after their end: [0, 10) at 30.
"""

import dataclasses

import xxhash

from schemas.spec import Feature, Searchify, Spec, Target
from tests.oracle import Event, Outcome, Seal
from tests.oracle.examples import (
    act,
    candidate,
    outcome_of,
    product,
    pseudo_requests,
    read,
    refund,
    shelve,
    show,
    task,
)

SEARCHIFY = Searchify(negatives=2, floor=0.0, query_memory=1)
FLAT = Target("search", hierarchical=False, searchify=SEARCHIFY)
CLICK = task("click", horizon_ms=40)
SPEC = product(CLICK, maturity_ms=20, target=FLAT)
ID_OF_F_AND_A = "7b2e7dfa4503a6e2"


def counts(outcome: Outcome) -> dict[str, int]:
    """What became of the foreign clicks."""
    return {
        name.removeprefix("searchify/"): count
        for name, count in outcome.counters.items()
        if name.startswith("searchify/")
    }


def made(outcome: Outcome) -> list[tuple[str, str]]:
    """Source request and positive of each pseudo-request."""
    return [
        (request["source_request"], item)
        for request in pseudo_requests(outcome)
        for item, origin in zip(
            request["candidates"]["item_id"], request["candidates"]["origin"], strict=True
        )
        if origin == 2
    ]


def test_a_foreign_click_becomes_a_request_of_the_target_at_its_sources_time() -> None:
    outcome = outcome_of(SPEC, show(3, "f"), act("click", 5))
    [request] = pseudo_requests(outcome)
    parts = ("source_request", "time_ms", "scenario", "domain", "origin_domain")
    assert [request[part] for part in parts] == ["f", 3, "front", "search", "feed"]
    assert counts(outcome) == {"made": 1}


def test_its_id_is_the_unsigned_hash_of_source_item_and_searchified_in_hexadecimal() -> None:
    [request] = pseudo_requests(outcome_of(SPEC, show(3, "f"), act("click", 5)))
    digest = xxhash.xxh3_64_hexdigest(b"f\0a\0searchified")
    assert request["id"] == digest == ID_OF_F_AND_A
    # Leading zeros stay.
    [request] = pseudo_requests(outcome_of(SPEC, show(3, "f", "b"), act("click", 5, item="b")))
    assert request["id"] == "0d6647337ac0d12d"


def test_the_source_is_what_rule_2_credited() -> None:
    requests = read(show(1, "f"), show(2, "g"))
    assert made(outcome_of(SPEC, requests, act("click", 5))) == [("g", "a")]
    assert made(outcome_of(SPEC, requests, act("click", 5, request_id="f"))) == [("f", "a")]


def test_the_source_counts_under_the_longest_horizon_whatever_domains_the_tasks_name() -> None:
    long = dataclasses.replace(task("long", horizon_ms=15, domains=("shop",)), stream="click")
    spec = product(task("click", horizon_ms=5), long, maturity_ms=20, target=FLAT)
    assert counts(outcome_of(spec, show(1, "f"), act("click", 16))) == {"made": 1}
    assert counts(outcome_of(spec, show(1, "f"), act("click", 17))) == {"unlinked": 1}


def test_a_click_without_a_source_is_unlinked() -> None:
    other_domain = show(1, "m", scenario="mall")
    assert counts(outcome_of(SPEC, other_domain, act("click", 5))) == {"unlinked": 1}


def test_only_clicks_of_a_stream_with_a_task_and_of_a_known_foreign_domain_count() -> None:
    shown = read(show(1, "f"), show(1, "s", scenario="find"))
    for other in (
        act("tap", 5),
        act("buy", 5),
        act("click", 5, scenario="find"),
        act("click", 5, scenario=None),
    ):
        assert counts(outcome_of(SPEC, shown, other)) == {}
    # Without a scenario it has the domain of the request it names.
    assert counts(outcome_of(SPEC, shown, act("click", 5, scenario=None, request_id="f"))) == {
        "made": 1
    }


def test_a_click_after_the_cut_of_its_source_makes_nothing() -> None:
    # [0, 10) is sealed at 30.
    assert counts(outcome_of(SPEC, show(1, "f"), act("click", 30))) == {"made": 1}
    assert counts(outcome_of(SPEC, show(1, "f"), act("click", 31))) == {"after_cut": 1}


def test_a_click_read_after_the_cut_of_its_source_makes_nothing() -> None:
    late = outcome_of(SPEC, show(1, "f"), Seal(20), act("click", 5))
    assert counts(late) == {"made": 1}
    too_late = outcome_of(SPEC, show(1, "f"), Seal(30), act("click", 5))
    assert counts(too_late) == {"after_cut": 1}


def test_a_click_retracted_by_the_cut_makes_nothing() -> None:
    events = read(show(1, "f"), act("click", 5))
    assert counts(outcome_of(SPEC, events, refund(30))) == {"retracted": 1}
    assert counts(outcome_of(SPEC, events, refund(31))) == {"made": 1}
    # Dated before its event it acts from the event on.
    assert counts(outcome_of(SPEC, events, refund(2))) == {"retracted": 1}
    # Read after the cut it comes too late for this.
    assert counts(outcome_of(SPEC, events, Seal(30), refund(6))) == {"made": 1}


def test_only_the_earliest_click_makes_a_request_and_the_others_are_repeats() -> None:
    shown = show(1, "f")
    clicks = read(act("click", 6, "1"), act("click", 5, "é"), act("click", 5, "z"))
    outcome = outcome_of(SPEC, shown, clicks)
    assert counts(outcome) == {"made": 1, "repeat": 2}
    [request] = pseudo_requests(outcome)
    assert request["candidates"]["labels"]["click"]["event_id"] == ["z"]
    # A retracted click is no repeat, and the next one takes its place.
    outcome = outcome_of(SPEC, shown, clicks, refund(7, event_id="z"))
    assert counts(outcome) == {"made": 1, "repeat": 1, "retracted": 1}
    [request] = pseudo_requests(outcome)
    assert request["candidates"]["labels"]["click"]["event_id"] == ["é"]


def test_of_clicks_of_one_millisecond_the_smaller_stream_makes_the_request() -> None:
    spec = product(CLICK, task("tap", horizon_ms=40), maturity_ms=20, target=FLAT)
    outcome = outcome_of(spec, show(1, "f"), act("tap", 5, "a"), act("click", 5, "b"))
    [request] = pseudo_requests(outcome)
    labels = request["candidates"]["labels"]
    assert (labels["click"]["event_id"], labels["tap"]["event_id"]) == (["b"], [None])


def test_there_is_one_request_for_each_source_and_item() -> None:
    shown = read(show(1, "f", "ab"), show(2, "g", "a"))
    clicks = [
        act("click", 5, item + request, item=item, request_id=request)
        for item, request in (("a", "f"), ("b", "f"), ("a", "g"))
    ]
    outcome = outcome_of(SPEC, shown, read(*clicks))
    assert made(outcome) == [("f", "a"), ("f", "b"), ("g", "a")]
    assert counts(outcome) == {"made": 3}


def test_a_click_that_rule_3_credited_is_not_searchified_though_it_is_retracted() -> None:
    spec = product(CLICK, maturity_ms=20, target=Target("search", searchify=SEARCHIFY))
    requests = read(show(1, "f"), show(2, "s", scenario="find"))
    assert counts(outcome_of(spec, requests, act("click", 5))) == {}
    assert counts(outcome_of(spec, requests, act("click", 5), refund(6))) == {}
    # Rule 3 credits nothing where the target showed the item too late.
    later = read(show(1, "f"), show(6, "s", scenario="find"))
    assert counts(outcome_of(spec, later, act("click", 5))) == {"made": 1}


def test_a_click_that_rule_3_credited_to_a_closed_label_is_not_searchified() -> None:
    # Horizon 20: s of time 1 is closed at 21 and published at 10; f is of a later window.
    spec = product(task("click", horizon_ms=20), target=Target("search", searchify=SEARCHIFY))
    requests = read(show(1, "s", scenario="find"), show(15, "f"))
    outcome = outcome_of(spec, requests, Seal(30), act("click", 20))
    assert outcome.counters["closed"] == 1
    assert counts(outcome) == {}


def test_without_searchification_nothing_is_made_or_counted() -> None:
    spec = dataclasses.replace(SPEC, target=dataclasses.replace(FLAT, searchify=None))
    outcome = outcome_of(spec, show(1, "f"), act("click", 5))
    assert counts(outcome) == {}
    assert "source_request" not in outcome.windows[0].users[0]["requests"][0]


# Negatives


def shelf(**titles: str | None) -> list[Event]:
    """Items that have these titles from the beginning."""
    return [shelve(item, 0, title) for item, title in titles.items()]


def negatives(outcome: Outcome) -> list[str]:
    """The negatives of the only pseudo-request, by position."""
    [request] = pseudo_requests(outcome)
    candidates = request["candidates"]
    pairs = zip(candidates["item_id"], candidates["origin"], strict=True)
    return [item for item, origin in pairs if origin == 3]


def with_searchify(spec: Spec, **changes: object) -> Spec:
    assert spec.target is not None and spec.target.searchify is not None
    changed = dataclasses.replace(spec.target.searchify, **changes)
    return dataclasses.replace(spec, target=dataclasses.replace(spec.target, searchify=changed))


# Like "red hat" (8 grams): "red hat" 1; "red" 4 / sqrt(8 * 4) = 0.71; "blue hat"
# 4 / sqrt(8 * 9) = 0.47; "sock" 0.
RED_HAT = shelf(a="red hat", b="red", c="blue hat", d="red", e="sock", f="red hat")


def test_negatives_are_the_most_similar_and_of_equals_the_higher_ones() -> None:
    for m, expected in ((0, []), (1, ["f"]), (2, ["b", "f"]), (3, ["b", "d", "f"])):
        spec = with_searchify(SPEC, negatives=m)
        outcome = outcome_of(spec, *RED_HAT, show(1, "f", "abcdef"), act("click", 5))
        assert negatives(outcome) == expected


def test_a_negative_is_at_or_above_the_floor() -> None:
    # 4 / sqrt(8 * 10): "red hat" and "red shoes".
    edge = 4 / 80**0.5
    items = shelf(a="red hat", b="red shoes")
    for floor, expected in ((edge, ["b"]), (edge + 1e-9, [])):
        spec = with_searchify(SPEC, floor=floor)
        outcome = outcome_of(spec, *items, show(1, "f", "ab"), act("click", 5))
        assert negatives(outcome) == expected


def test_with_a_floor_of_zero_what_has_nothing_in_common_may_be_a_negative() -> None:
    # "blue" and "shoes" meet at one index with opposite signs: below zero.
    for title, expected in (("sock", ["b"]), ("", ["b"]), ("shoes", [])):
        items = shelf(a="blue", b=title)
        outcome = outcome_of(SPEC, *items, show(1, "f", "ab"), act("click", 5))
        assert negatives(outcome) == expected


def test_an_item_without_a_title_is_no_negative_and_a_positive_without_one_has_none() -> None:
    for titles, expected in (
        ({"a": "red", "b": None, "c": "red"}, ["c"]),
        ({"a": "red", "c": "red"}, ["c"]),
        ({"a": None, "b": "red", "c": "red"}, []),
        ({"b": "red", "c": "red"}, []),
    ):
        outcome = outcome_of(SPEC, *shelf(**titles), show(1, "f", "abc"), act("click", 5))
        assert negatives(outcome) == expected


def test_only_exposed_candidates_without_a_click_standing_at_the_cut_are_negatives() -> None:
    items = [*(candidate(item, place) for place, item in enumerate("abc"))]
    shown = show(1, "f", [*items, candidate("d", 3, exposed=False)])
    titles = shelf(a="red", b="red", c="red", d="red")
    clicked = read(act("click", 5), act("click", 30, "b", item="b"))
    # The click of time 30 stands at cut 30; one of time 31 does not yet.
    assert negatives(outcome_of(SPEC, *titles, shown, act("click", 5))) == ["b", "c"]
    both = outcome_of(SPEC, *titles, shown, clicked)
    assert made(both) == [("f", "a"), ("f", "b")]
    for request in pseudo_requests(both):
        assert request["candidates"]["origin"].count(3) == 1
        assert request["candidates"]["item_id"][-1] == "c"
    # Retracted by the cut it stands no more.
    outcome = outcome_of(SPEC, *titles, shown, clicked, refund(30, event_id="b"))
    assert negatives(outcome) == ["b", "c"]
    later = act("click", 31, "b", item="b")
    assert negatives(outcome_of(SPEC, *titles, shown, act("click", 5), later)) == ["b", "c"]


def test_a_click_of_any_stream_with_a_task_keeps_an_item_from_being_a_negative() -> None:
    spec = product(
        CLICK, task("tap", horizon_ms=40, domains=("shop",)), maturity_ms=20, target=FLAT
    )
    events = [*shelf(a="red", b="red"), show(1, "f", "ab"), act("click", 5)]
    tapped = act("tap", 6, item="b")
    assert len(pseudo_requests(outcome_of(spec, *events, tapped))) == 2
    assert negatives(outcome_of(SPEC, *events, tapped)) == ["b"]


def test_a_lone_candidate_makes_a_request_without_negatives() -> None:
    outcome = outcome_of(SPEC, *RED_HAT, show(1, "f"), act("click", 5))
    [request] = pseudo_requests(outcome)
    assert (request["candidates"]["item_id"], request["candidates"]["origin"]) == (["a"], [2])


def test_an_items_text_is_its_title_and_the_features_named() -> None:
    # a: "red x y"; b: "red" alone, c: "red x y", d has the words but no title.
    features = (Feature("brand", "item", "id", default="never"), Feature("tags", "item", "ids"))
    spec = with_searchify(
        dataclasses.replace(SPEC, features={feature.name: feature for feature in features}),
        negatives=1,
        text=("brand", "tags"),
    )
    full, none = {"brand": "xx", "tags": ["yy", "zz"]}, {"brand": None, "tags": None}
    items = [
        shelve("a", 0, "red", **full),
        shelve("b", 0, "red", **none),
        shelve("c", 0, "red", **full),
        shelve("d", 0, None, **full),
    ]
    shown = show(1, "f", [candidate(item, place, **none) for place, item in enumerate("abcd")])
    assert negatives(outcome_of(spec, *items, shown, act("click", 5))) == ["c"]
    assert negatives(outcome_of(with_searchify(spec, text=()), *items, shown, act("click", 5))) == [
        "b"
    ]
