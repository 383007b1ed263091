"""Events of a small product: few users, items and ids, times near every edge."""

from typing import Any

from hypothesis import strategies as st

from schemas.spec import Feature, Spec
from tests.worlds.specs import FEEDBACK

Fields = dict[str, Any]
Drawn = tuple[str, Fields]
"""Stream and fields."""

USERS = ("u", "é", "\U0001f600", "\uff5e")
ITEMS = ("a", "b", "Ω")
REQUEST_IDS = ("r", "s", "R")
EVENT_IDS = ("1", "2", "10")
NUMBERS = (1.0, 2.5, -1.0, 0.0, 0.1, 1e16, -1e16)


def mostly(usual: list[Any], rare: list[Any]) -> st.SearchStrategy[Any]:
    """The usual nine times in ten; shrinks to the first of the usual."""
    return st.sampled_from(usual) if not rare else st.sampled_from([*usual * 9 * len(rare), *rare])


def times(spec: Spec) -> st.SearchStrategy[int]:
    """Any time in six windows, and often the edges of windows and cuts or one beside them."""
    window = spec.window
    count = st.integers(0, 6)
    starts = count.map(lambda index: index * window.length_ms)
    cuts = count.map(lambda index: window.cut_at_or_after(index * window.length_ms))
    beside = st.builds(lambda edge, by: max(0, edge + by), starts | cuts, st.integers(-1, 1))
    return st.integers(0, 6 * window.length_ms) | beside


def after(spec: Spec, base_ms: int) -> st.SearchStrategy[int]:
    """A time after another: at once, at the edge of a horizon or of memory, anywhere."""
    edges = [0, spec.memory_ms, spec.window.length_ms]
    for task in spec.tasks.values():
        edges += [task.horizon_ms, task.horizon_ms + task.retraction_horizon_ms]
    beside = st.builds(lambda edge, by: edge + by, st.sampled_from(edges), st.integers(-1, 1))
    anywhere = st.integers(0, spec.memory_ms + spec.window.length_ms)
    near = st.integers(0, spec.window.length_ms)
    return (near | beside | anywhere).map(lambda age_ms: max(0, base_ms + age_ms))


@st.composite
def _features(draw: st.DrawFn, features: tuple[Feature, ...]) -> Fields:
    values: dict[str, st.SearchStrategy[Any]] = {
        "id": st.sampled_from([None, "x", "y", ""]),
        "ids": st.none() | st.lists(st.sampled_from(["x", "y"]), max_size=2),
        "number": st.sampled_from([None, *NUMBERS]),
    }
    return {feature.name: draw(values[feature.type]) for feature in features}


@st.composite
def exposures(draw: st.DrawFn, spec: Spec) -> Drawn:
    """A request with one to four candidates, mostly exposed, at distinct positions."""
    candidates = draw(st.lists(_candidates(spec), min_size=1, max_size=4))
    if not draw(mostly([False], [True])):
        candidates = [{**one, "position": place} for place, one in enumerate(candidates)]
    return "show", {
        "request_id": draw(st.sampled_from(REQUEST_IDS)),
        "user_id": draw(st.sampled_from(USERS)),
        "time_ms": draw(times(spec)),
        "scenario": draw(mostly(list(spec.scenarios), ["nowhere"])),
        "query": draw(st.sampled_from([None, "", "shoes"])),
        **draw(_features(spec.owned_by("user", "context", "query"))),
        "candidates": draw(mostly([candidates, candidates[::-1]], [[]])),
    }


@st.composite
def _candidates(draw: st.DrawFn, spec: Spec) -> Fields:
    return {
        "item_id": draw(st.sampled_from(ITEMS)),
        "position": draw(st.integers(-1, 3)),
        "exposed": draw(st.sampled_from([True, True, True, False])),
        **draw(_features(spec.owned_by("item", "cross"))),
    }


@st.composite
def feedback(draw: st.DrawFn, spec: Spec, shown: list[Drawn]) -> Drawn:
    """An event on what some request showed, most of the time; ids and scenario may mislead."""
    _, request = draw(st.sampled_from(shown))
    items = [candidate["item_id"] for candidate in request["candidates"]] or list(ITEMS)
    carried = tuple(spec.features[name] for name in spec.sequences.features)
    return draw(st.sampled_from(_streams_with_tasks_first(spec))), {
        "event_id": draw(st.sampled_from(EVENT_IDS)),
        "user_id": draw(mostly([request["user_id"]], list(USERS))),
        "time_ms": draw(after(spec, request["time_ms"]) | times(spec)),
        "item_id": draw(mostly(items, list(ITEMS))),
        "scenario": draw(mostly([request["scenario"], None], [*spec.scenarios, "nowhere"])),
        "request_id": draw(mostly([request["request_id"], None], [*REQUEST_IDS, "none such"])),
        "value": draw(mostly(list(NUMBERS), [None, float("inf"), float("nan")])),
        **draw(_features(carried)),
    }


def _streams_with_tasks_first(spec: Spec) -> list[str]:
    with_tasks = [task.stream for task in spec.tasks.values()]
    return [*with_tasks, *with_tasks, *FEEDBACK]


@st.composite
def retractions(draw: st.DrawFn, spec: Spec, done: list[Drawn]) -> Drawn:
    """A retraction of some event, before or after it, or of one that never was."""
    stream, event = draw(st.sampled_from(done))
    age_ms = draw(after(spec, 0))
    sign = draw(st.sampled_from([1, 1, -1]))
    return "refund", {
        "stream": draw(mostly([stream], [*FEEDBACK, "show", "nowhere"])),
        "event_id": draw(mostly([event["event_id"]], list(EVENT_IDS))),
        "user_id": draw(mostly([event["user_id"]], list(USERS))),
        "time_ms": max(0, event["time_ms"] + sign * age_ms),
    }


@st.composite
def items(draw: st.DrawFn, spec: Spec) -> Drawn:
    """An item event; without a target domain it only counts."""
    return "shelf", {
        "item_id": draw(st.sampled_from(ITEMS)),
        "time_ms": draw(times(spec)),
        "title": draw(st.sampled_from([None, "red shoes"])),
        **draw(_features(spec.owned_by("item"))),
    }


@st.composite
def copies(draw: st.DrawFn, spec: Spec, drawn: list[Drawn]) -> Drawn:
    """An event again: the same, at another time, or with another content."""
    stream, fields = draw(st.sampled_from(drawn))
    again = {**fields, "time_ms": draw(st.just(fields["time_ms"]) | after(spec, fields["time_ms"]))}
    if draw(st.booleans()):
        again |= draw(st.sampled_from(_other_contents(spec, stream, fields)))
    return stream, again


def _other_contents(spec: Spec, stream: str, fields: Fields) -> list[Fields]:
    if stream == "show":
        hidden = [{**one, "exposed": not one["exposed"]} for one in fields["candidates"]]
        return [{"candidates": hidden}, {"scenario": spec.scenarios[-1]}, {"query": "hats"}]
    if stream in FEEDBACK:
        return [{"item_id": "b"}, {"value": 3.0}, {"request_id": "s"}, {"scenario": None}]
    return [{"title": "hat"}] if stream == "shelf" else [{}]


@st.composite
def event_sets(draw: st.DrawFn, spec: Spec) -> list[Drawn]:
    """All events of one world, before anyone reads them."""
    shown = draw(st.lists(exposures(spec), min_size=1, max_size=6))
    done = draw(st.lists(feedback(spec, shown), max_size=12))
    events = [*shown, *done]
    if done:
        events += draw(st.lists(retractions(spec, done), max_size=5))
    events += draw(st.lists(items(spec), max_size=2))
    events += draw(st.lists(copies(spec, events), max_size=5))
    return [(stream, _negative(draw, fields)) for stream, fields in events]


def _negative(draw: st.DrawFn, fields: Fields) -> Fields:
    """Once in a while a time before 1970."""
    return {**fields, "time_ms": -1} if draw(mostly([False] * 5, [True])) else fields
