"""Events of a small product: few users, items and ids, times near every edge.

What is drawn says "that of the request" or "that of the event" where events hang together, and is
resolved here in plain Python.
"""

from itertools import product
from typing import Any

from hypothesis import strategies as st

from schemas.spec import Feature, Spec
from tests.worlds.choices import ages, bursts, mostly, regrets, times
from tests.worlds.journeys import QUERIES, Journey, journeys
from tests.worlds.specs import FEEDBACK

Fields = dict[str, Any]
Drawn = tuple[str, Fields]
"""Stream and fields."""

USERS = ("u", "é", "\U0001f600", "\uff5e")
ITEMS = ("a", "b", "Ω")
TITLES = ("red", None, "", "red shoes", "Red Shoes", "red hat", "blue hat", "ab", "😀 shoes")
"""Few words, so that similarities tie."""
REQUEST_IDS = ("r", "s", "R", "rr", "é")
MORE_REQUEST_IDS = (*REQUEST_IDS, "t", "S", "é1", "10", "9", "\uff5e")
EVENT_IDS = ("1", "2", "10", "é", "A", "b")
NUMBERS = (1.0, 2.5, -1.0, 0.0, 0.1, 1e16, -1e16)
SAME: Any = object()
"""Stands for what the request or the event says that another hangs on."""

FEATURE_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "id": st.sampled_from([None, "x", "y", ""]),
    "ids": st.sampled_from([None, ["x"], [], ["y", "x"], ["x", "x"]]),
    "number": st.sampled_from([None, *NUMBERS]),
}


def event_sets(spec: Spec) -> st.SearchStrategy[list[Drawn]]:
    """All events of one world, before anyone reads them."""
    link = st.integers(0, 15)
    most = 1 if spec.target is None else 5
    return st.builds(
        _linked,
        st.lists(exposures(spec), min_size=1, max_size=6),
        bursts(st.tuples(link, feedback(spec)), 8),
        bursts(st.tuples(link, retractions(spec)), 3),
        _shelved(spec, st.lists(items(spec), max_size=most)),
        st.lists(st.tuples(link, copies(spec)), max_size=3),
        journeys(spec),
    )


def _linked(
    shown: list[Fields],
    done: list[tuple[int, Fields]],
    undone: list[tuple[int, Fields]],
    shelved: list[Fields],
    again: list[tuple[int, Fields]],
    gone: list[Journey],
) -> list[Drawn]:
    """Every event hangs on the one whose number it drew."""
    events: list[Drawn] = [("show", request) for request in shown]
    acted = [_of_request(one, shown[link % len(shown)]) for link, one in done]
    for journey in gone:
        elsewhere = [one for one in shown if one["scenario"] != journey.searched_in] or shown
        request = elsewhere[journey.link % len(elsewhere)]
        events.append(("show", journey.search(request)))
        acted += journey.feedback(request)
    events += acted
    if acted:
        events += [("refund", _of_event(one, acted[link % len(acted)])) for link, one in undone]
    events += [("shelf", one) for one in shelved]
    events += [_copy(one, events[link % len(events)]) for link, one in again]
    return events


def _features(features: tuple[Feature, ...]) -> dict[str, st.SearchStrategy[Any]]:
    return {feature.name: FEATURE_VALUES[feature.type] for feature in features}


def exposures(spec: Spec) -> st.SearchStrategy[Fields]:
    """A request with candidates that are mostly exposed and at distinct positions."""
    fields = {
        "request_id": st.sampled_from(REQUEST_IDS if spec.target is None else MORE_REQUEST_IDS),
        "user_id": st.sampled_from([*USERS[:1] * 4, *USERS]),
        "time_ms": mostly([SAME], [-1]),
        "scenario": mostly(spec.scenarios, ["nowhere"]),
        "query": st.sampled_from([None, "", "shoes"] if spec.target is None else QUERIES),
        **_features(spec.owned_by("user", "context", "query")),
        "candidates": st.lists(_candidates(spec), min_size=1, max_size=4),
    }
    order = mostly(["down", "up"], ["as drawn", "none"])
    return st.builds(_placed, st.fixed_dictionaries(fields), times(spec), order)


def _candidates(spec: Spec) -> st.SearchStrategy[Fields]:
    return st.fixed_dictionaries(
        {
            "item_id": st.sampled_from(ITEMS),
            "position": st.integers(-1, 3),
            "exposed": st.sampled_from([True] * (3 if spec.target is None else 2) + [False]),
            **_features(spec.owned_by("item", "cross")),
        }
    )


def _placed(fields: Fields, time_ms: int, order: str) -> Fields:
    """Positions from 0 down the list or up it, unless they stay as drawn; or an empty list."""
    candidates = [] if order == "none" else fields["candidates"]
    if order != "as drawn":
        candidates = [{**one, "position": place} for place, one in enumerate(candidates)]
    return {
        **fields,
        "time_ms": time_ms if fields["time_ms"] is SAME else fields["time_ms"],
        "candidates": candidates[::-1] if order == "up" else candidates,
    }


def feedback(spec: Spec) -> st.SearchStrategy[Fields]:
    """An event on what a request showed, most of the time; ids and scenario may mislead."""
    with_tasks = [task.stream for task in spec.tasks.values()]
    carried = tuple(spec.features[name] for name in spec.sequences.features)
    return st.fixed_dictionaries(
        {
            "stream": mostly(with_tasks, FEEDBACK),
            "age_ms": ages(spec),
            "event_id": st.sampled_from(EVENT_IDS),
            "user_id": mostly([SAME], USERS),
            "item_id": mostly(list(range(4)), ITEMS),
            "scenario": _scenarios(spec),
            "request_id": mostly([SAME, None], [*REQUEST_IDS, "none such"]),
            "value": mostly(NUMBERS, [None, float("inf"), float("nan")]),
            **_features(carried),
        }
    )


def _scenarios(spec: Spec) -> st.SearchStrategy[Any]:
    """That of the request; with a target domain often another one, as journeys go."""
    if spec.target is None:
        return mostly([SAME, None], [*spec.scenarios, "nowhere"])
    return st.sampled_from([SAME, SAME, SAME, SAME, None, *spec.scenarios])


def _of_request(drawn: Fields, request: Fields) -> Drawn:
    fields = {name: request[name] if value is SAME else value for name, value in drawn.items()}
    fields["time_ms"] = request["time_ms"] + fields.pop("age_ms")
    if isinstance(fields["item_id"], int):
        shown = [candidate["item_id"] for candidate in request["candidates"]] or ITEMS
        fields["item_id"] = shown[fields["item_id"] % len(shown)]
    return fields.pop("stream"), fields


def retractions(spec: Spec) -> st.SearchStrategy[Fields]:
    """A retraction of some event, before or after it, or of one that never was."""
    return st.fixed_dictionaries(
        {
            "stream": mostly([SAME], [*FEEDBACK, "show", "nowhere"]),
            "event_id": mostly([SAME], EVENT_IDS),
            "user_id": mostly([SAME], USERS),
            "age_ms": regrets(spec),
            "sign": st.sampled_from([1, 1, 1, -1]),
        }
    )


def _of_event(drawn: Fields, event: Drawn) -> Fields:
    stream, cancelled = event
    known = {**cancelled, "stream": stream}
    fields = {name: known[name] if value is SAME else value for name, value in drawn.items()}
    age_ms = fields.pop("age_ms") * fields.pop("sign")
    return {**fields, "time_ms": max(0, cancelled["time_ms"] + age_ms)}


def items(spec: Spec) -> st.SearchStrategy[Fields]:
    """An item event; without a target domain it only counts."""
    if spec.target is not None:
        return titled(spec)
    return st.fixed_dictionaries(
        {
            "item_id": st.sampled_from(ITEMS),
            "time_ms": times(spec),
            "title": st.sampled_from([None, "red shoes"]),
            **_features(spec.owned_by("item")),
        }
    )


def _shelved(
    spec: Spec, changes: st.SearchStrategy[list[Fields]]
) -> st.SearchStrategy[list[Fields]]:
    """With a target domain most items have a title from the beginning."""
    if spec.target is None:
        return changes
    bare = dict.fromkeys(feature.name for feature in spec.owned_by("item"))
    first = st.sampled_from(list(product(TITLES, repeat=len(ITEMS))))
    return st.builds(
        lambda titles, later: [
            *(
                _titled((i, 0, t), bare)
                for i, t in zip(ITEMS, titles, strict=True)
                if t is not None
            ),
            *later,
        ],
        first,
        changes,
    )


def titled(spec: Spec) -> st.SearchStrategy[Fields]:
    """An item event that is mostly early, in few draws."""
    early = [0] * 8 + [count * spec.window.length_ms + by for count in range(4) for by in (0, 1)]
    drawn = st.sampled_from(list(product(ITEMS, early, TITLES)))
    features = st.fixed_dictionaries(_features(spec.owned_by("item")))
    return st.builds(_titled, drawn, features)


def _titled(drawn: tuple[str, int, str | None], features: Fields) -> Fields:
    item, time_ms, title = drawn
    return {"item_id": item, "time_ms": time_ms, "title": title, **features}


def copies(spec: Spec) -> st.SearchStrategy[Fields]:
    """An event again: the same, at another time, or with another content."""
    return st.fixed_dictionaries(
        {
            "age_ms": st.just(0) | regrets(spec),
            "scenario": st.sampled_from([SAME, SAME, spec.scenarios[-1]]),
            "item_id": st.sampled_from([SAME, SAME, "b"]),
            "hides": st.sampled_from([False, False, True]),
        }
    )


def _copy(drawn: Fields, event: Drawn) -> Drawn:
    stream, fields = event
    again = {**fields, "time_ms": fields["time_ms"] + drawn["age_ms"]}
    for name in ("scenario", "item_id"):
        if name in fields and drawn[name] is not SAME and stream != "shelf":
            again[name] = drawn[name]
    if drawn["hides"] and stream == "show":
        hidden = [{**one, "exposed": not one["exposed"]} for one in fields["candidates"]]
        again["candidates"] = hidden
    if drawn["hides"] and stream == "shelf":
        again["title"] = "blue hat" if fields["title"] is None else None
    return stream, again
