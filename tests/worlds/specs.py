"""Specs of small products: `specs` without a target domain, `target_specs` with one."""

import dataclasses
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import product

from hypothesis import strategies as st

from schemas.spec import (
    Domain,
    Feature,
    LabelValue,
    Searchify,
    Sequences,
    Spec,
    Stream,
    StreamKind,
    Target,
    Task,
    Time,
    Window,
)
from tests.worlds.choices import durations, mostly

STREAMS: dict[str, StreamKind] = {
    "show": "exposure",
    "click": "click",
    "buy": "conversion",
    "tap": "click",
    "pay": "conversion",
    "refund": "retraction",
    "shelf": "item",
}
FEEDBACK = ("click", "buy", "tap", "pay")
TASK_NAMES = ("m", "Z", "a", "_k", "b2")
VALUES: tuple[LabelValue, ...] = ("binary", "sum", "max", "last")
DOMAINS = ("feed", "Search", "ads")
SCENARIOS = ("front", "side", "end")


def _pool() -> dict[str, Feature]:
    """A feature of every owner and type, with a default where one may be declared."""
    pool = {}
    for owner in ("item", "user", "context", "query", "cross"):
        for feature in (
            Feature(f"{owner}_key", owner, "id", table="t"),
            Feature(f"{owner}_key_or", owner, "id", default="other", table="t"),
            Feature(f"{owner}_keys", owner, "ids", table=f"{owner}_keys"),
            Feature(f"{owner}_number", owner, "number"),
            Feature(f"{owner}_number_or", owner, "number", default=0.5),
        ):
            pool[feature.name] = feature
    return pool


FEATURES = _pool()


LENGTHS_MS = (10, 20, 100, 7, 1)
SHAPES = [shape for size in (1, 2, 3) for shape in product((1, 2, 3), repeat=size)]
"""How many scenarios each domain has."""


@st.composite
def specs(
    draw: st.DrawFn,
    shapes: Sequence[tuple[int, ...]] = SHAPES,
    pool: Mapping[str, Feature] = FEATURES,
) -> Spec:
    """A spec with one to three domains and one to five tasks, in windows of 1 to 100 ms."""
    length_ms = draw(st.sampled_from(LENGTHS_MS))
    domains = _domains(draw(st.sampled_from(shapes)))
    features = draw(_some(tuple(pool)))
    return Spec(
        name="world",
        window=Window(length_ms, draw(durations(length_ms, 1) | durations(length_ms, 3))),
        time=Time(max_ahead_ms=draw(st.sampled_from([0, 1, 20])), slack_ms=0, idle_ms=1000),
        streams={name: Stream(name, kind, name) for name, kind in STREAMS.items()},
        domains=domains,
        tasks=_tasks(draw(st.lists(_task(length_ms), min_size=1, max_size=5)), tuple(domains)),
        features={name: pool[name] for name in features},
        sequences=_sequences(draw(SEQUENCES), features),
    )


def _domains(shape: tuple[int, ...]) -> dict[str, Domain]:
    return {
        domain: Domain(domain, tuple(f"{domain}_{place}" for place in SCENARIOS[:count]))
        for domain, count in zip(DOMAINS, shape, strict=False)
    }


@cache
def _some(pool: tuple[str, ...]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(pool), unique=True, max_size=4)


NAMED_DOMAINS = ((0, 1, 2), (0,), (1, 0))
"""Which of the domains a task names, modulo how many there are."""


@cache
def _task(length_ms: int) -> st.SearchStrategy[tuple[str, int, int, LabelValue, tuple[int, ...]]]:
    """Stream, horizon, retraction horizon, value, domains."""
    return st.tuples(
        st.sampled_from(FEEDBACK),
        durations(length_ms, 4),
        durations(length_ms, 3),
        st.sampled_from(VALUES),
        mostly(NAMED_DOMAINS[:1], NAMED_DOMAINS[1:]),
    )


def _tasks(
    drawn: list[tuple[str, int, int, LabelValue, tuple[int, ...]]], domains: tuple[str, ...]
) -> dict[str, Task]:
    return {
        name: Task(
            name=name,
            stream=stream,
            horizon_ms=horizon_ms,
            retraction_horizon_ms=retraction_horizon_ms,
            value=value,
            domains=tuple(dict.fromkeys(domains[index % len(domains)] for index in named)),
        )
        for name, (stream, horizon_ms, retraction_horizon_ms, value, named) in zip(
            TASK_NAMES, drawn, strict=False
        )
    }


SEQUENCES = st.tuples(
    st.lists(st.sampled_from(FEEDBACK), unique=True),
    st.integers(0, 3),
    st.integers(0, 3),
    st.booleans(),
)


def _sequences(drawn: tuple[list[str], int, int, bool], features: list[str]) -> Sequences:
    streams, history, recent, carries = drawn
    carried = [
        name for name in features if name in FEATURES and FEATURES[name].owner == "item" and carries
    ]
    return Sequences(tuple(streams), history, recent, tuple(carried))


RECIPES = [
    Feature("cross_recipe", "cross", "number", recipe="query_title_similarity"),
    Feature("cross_recipe_or", "cross", "number", default=0.5, recipe="query_title_similarity"),
]
TARGET_FEATURES = {**FEATURES, **{feature.name: feature for feature in RECIPES}}
TARGET_SHAPES = ((1, 1, 1), (2, 1, 1), (1, 2, 1), (1, 1, 2), (1, 1, 1), (1, 1), (1, 1), (1,))


@st.composite
def target_specs(draw: st.DrawFn) -> Spec:
    """A spec, mostly of three domains, one of which learns from the entire space."""
    spec = draw(specs(shapes=TARGET_SHAPES, pool=TARGET_FEATURES))
    target = Target(
        domain=draw(st.sampled_from(sorted(spec.domains))),
        hierarchical=draw(st.booleans()),
        unexposed=draw(st.integers(0, 2)),
        seed=draw(st.sampled_from([0, 7])),
        searchify=draw(_searchify(spec)),
    )
    logged = draw(st.lists(LOGGED_IN, min_size=len(spec.features), max_size=len(spec.features)))
    return dataclasses.replace(
        spec, target=target, tasks=draw(_told(spec)), features=_logged(spec, logged)
    )


def _told(spec: Spec) -> st.SearchStrategy[dict[str, Task]]:
    """Mostly the first task is one of clicks and the second one of purchases, in all domains."""
    told = {
        name: dataclasses.replace(
            task,
            stream=stream,
            horizon_ms=windows * spec.window.length_ms,
            domains=tuple(spec.domains),
        )
        for (name, task), stream, windows in zip(
            spec.tasks.items(), ("click", "buy"), (3, 4), strict=False
        )
    }
    return mostly([{**spec.tasks, **told}], [dict(spec.tasks)])


def _searchify(spec: Spec) -> st.SearchStrategy[Searchify | None]:
    texts = [f.name for f in spec.owned_by("item") if f.type != "number"]
    on = st.builds(
        Searchify,
        negatives=st.sampled_from([2, 1, 0]),
        floor=st.sampled_from([0.0, 0.0, 0.3]),
        query_memory=st.sampled_from([2, 1, 0]),
        text=st.sampled_from([(), tuple(texts)]),
    )
    return st.sampled_from([True, True, True, False]).flatmap(lambda is_on: on if is_on else OFF)


OFF: st.SearchStrategy[None] = st.none()
LOGGED_IN = st.sampled_from([(), (), (0,), (1,), (0, 1), (2,)])
"""The domains that log a feature, modulo how many there are; none: all."""


def _logged(spec: Spec, drawn: list[tuple[int, ...]]) -> dict[str, Feature]:
    names = list(spec.domains)
    return {
        feature.name: dataclasses.replace(
            feature,
            domains=tuple(sorted({names[index % len(names)] for index in indices})),
        )
        for feature, indices in zip(spec.features.values(), drawn, strict=True)
    }
