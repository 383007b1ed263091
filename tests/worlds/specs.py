"""Specs of small products without a target domain."""

from hypothesis import strategies as st

from schemas.spec import (
    Domain,
    Feature,
    LabelValue,
    Sequences,
    Spec,
    Stream,
    StreamKind,
    Task,
    Time,
    Window,
)

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


@st.composite
def specs(draw: st.DrawFn) -> Spec:
    """A spec with one to three domains and one to five tasks, in windows of 1 to 100 ms."""
    length_ms = draw(st.sampled_from([10, 20, 100, 7, 1]))
    domains = draw(_domains())
    features = draw(st.lists(st.sampled_from(sorted(FEATURES)), unique=True, max_size=4))
    return Spec(
        name="world",
        window=Window(length_ms, draw(_durations(length_ms, 3))),
        time=Time(max_ahead_ms=draw(st.integers(0, 20)), slack_ms=0, idle_ms=1000),
        streams={name: Stream(name, kind, name) for name, kind in STREAMS.items()},
        domains=domains,
        tasks=draw(_tasks(length_ms, tuple(domains))),
        features={name: FEATURES[name] for name in features},
        sequences=draw(_sequences([name for name in features if name.startswith("item")])),
        ordered=False,
    )


def _durations(length_ms: int, windows: int) -> st.SearchStrategy[int]:
    """From none to several windows, on the grid or off it."""
    on_grid = st.integers(0, windows).map(lambda count: count * length_ms)
    return on_grid | st.integers(0, windows * length_ms)


@st.composite
def _domains(draw: st.DrawFn) -> dict[str, Domain]:
    counts = draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))
    return {
        domain: Domain(domain, tuple(f"{domain}_{place}" for place in SCENARIOS[:count]))
        for domain, count in zip(DOMAINS, counts, strict=False)
    }


@st.composite
def _tasks(draw: st.DrawFn, length_ms: int, domains: tuple[str, ...]) -> dict[str, Task]:
    streams = draw(st.lists(st.sampled_from(FEEDBACK), min_size=1, max_size=len(TASK_NAMES)))
    some_domains = st.lists(st.sampled_from(domains), min_size=1, unique=True).map(tuple)
    return {
        name: Task(
            name=name,
            stream=stream,
            horizon_ms=draw(_durations(length_ms, 4)),
            retraction_horizon_ms=draw(_durations(length_ms, 3)),
            value=draw(st.sampled_from(VALUES)),
            domains=draw(st.just(domains) | some_domains),
        )
        for name, stream in zip(TASK_NAMES, streams, strict=False)
    }


@st.composite
def _sequences(draw: st.DrawFn, item_features: list[str]) -> Sequences:
    streams = draw(st.lists(st.sampled_from(FEEDBACK), unique=True))
    carried = draw(st.lists(st.sampled_from(item_features), unique=True)) if item_features else []
    return Sequences(
        streams=tuple(streams),
        history=draw(st.integers(0, 3)),
        recent=draw(st.integers(0, 3)),
        features=tuple(carried),
    )
