"""From TOML to a checked `Spec`. Every complaint is one `SpecError` naming file and key."""

import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, get_args

from schemas.errors import SpecError
from schemas.spec.features import name_of, parse_features
from schemas.spec.model import (
    Domain,
    Feature,
    LabelValue,
    Sequences,
    Spec,
    Stream,
    StreamKind,
    Target,
    Task,
    Time,
    Window,
)
from schemas.spec.source import parse_source
from schemas.spec.table import Table, near_match
from schemas.spec.target import parse_target


def load(path: str | Path) -> Spec:
    """Read and check one stream spec.

    Raises SpecError, naming file, key, what was expected and what was received.
    """
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise SpecError(f"{file}: expected a readable TOML file, received: {reason}") from error
    return parse(text, str(file))


def parse(text: str, file: str = "spec") -> Spec:
    """Check the text of a stream spec; `file` is what complaints name."""
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SpecError(f"{file}: expected TOML, received a syntax error: {error}") from error
    root = Table(file, "", values)
    streams = _streams(root)
    domains = _domains(root)
    features = parse_features(root, domains)
    spec = Spec(
        name=name_of(root, "name", root.text("name")),
        window=_window(root.table("window")),
        time=_time(root.table("time", {})),
        streams=streams,
        domains=domains,
        tasks=_tasks(root, streams, domains),
        features=features,
        sequences=_sequences(root.table("sequences"), streams, features),
        source=parse_source(root.table("source", {})),
        target=_target(root, streams, domains, features),
        models=_models(root),
        learner=dict(root.table("learner", {}).values),
    )
    root.finish()
    return spec


def _window(table: Table) -> Window:
    window = Window(table.duration_ms("length"), table.duration_ms("maturity", "0s"))
    if window.length_ms == 0:
        raise table.fail("length", "a duration above zero", table.values["length"])
    table.finish()
    return window


def _time(table: Table) -> Time:
    time = Time(
        max_ahead_ms=table.duration_ms("max_ahead", "1h"),
        slack_ms=table.duration_ms("slack", "0s"),
        idle_ms=table.duration_ms("idle", "1m"),
    )
    table.finish()
    return time


def _target(
    root: Table,
    streams: Mapping[str, Stream],
    domains: Collection[str],
    features: Mapping[str, Feature],
) -> Target | None:
    if "target" not in root.values:
        root.seen.add("target")
        return None
    return parse_target(root.table("target"), streams, domains, features)


def _streams(root: Table) -> dict[str, Stream]:
    streams = {}
    for name, table in root.tables("streams").items():
        kind: Any = table.choice("kind", get_args(StreamKind))
        streams[name_of(root, "streams", name)] = Stream(name, kind, table.text("topic", name))
        table.finish()
    for kind in ("exposure", "item", "retraction"):
        named = [stream.name for stream in streams.values() if stream.kind == kind]
        if len(named) > 1 or (kind == "exposure" and not named):
            expected = "exactly one" if kind == "exposure" else "at most one"
            raise root.fail("streams", f"{expected} stream of kind {kind!r}", named)
    return streams


def _domains(root: Table) -> dict[str, Domain]:
    domains: dict[str, Domain] = {}
    owner: dict[str, str] = {}
    for name, table in root.tables("domains").items():
        scenarios = table.names("scenarios")
        if not scenarios:
            raise table.fail("scenarios", "at least one scenario", list(scenarios))
        for scenario in scenarios:
            if scenario in owner:
                raise table.fail(
                    "scenarios", f"no scenario of domain {owner[scenario]!r}", scenario
                )
            owner[scenario] = name
        domains[name_of(root, "domains", name)] = Domain(name, tuple(sorted(scenarios)))
        table.finish()
    if not domains:
        raise root.fail("domains", "at least one domain", {})
    return domains


def _tasks(root: Table, streams: Mapping[str, Stream], domains: Collection[str]) -> dict[str, Task]:
    feedback = [s.name for s in streams.values() if s.kind in ("click", "conversion")]
    tasks = {}
    for name, table in root.tables("tasks").items():
        stream = table.text("stream")
        if stream not in feedback:
            expected = "the name of a click or conversion stream"
            raise table.fail("stream", expected, stream, near_match(stream, feedback))
        value: Any = table.choice("value", get_args(LabelValue), "binary")
        horizon_ms = table.duration_ms("horizon")
        tasks[name_of(root, "tasks", name)] = Task(
            name=name,
            stream=stream,
            horizon_ms=horizon_ms,
            retraction_horizon_ms=table.duration_ms("retraction_horizon", "0s"),
            value=value,
            domains=_task_domains(table, domains),
        )
        table.finish()
    if not tasks:
        raise root.fail("tasks", "at least one task", {})
    return tasks


def _task_domains(table: Table, domains: Collection[str]) -> tuple[str, ...]:
    named = table.names_among("domains", domains, "a domain", list(domains))
    if not named:
        raise table.fail("domains", "at least one domain", [])
    return named


def _sequences(
    table: Table, streams: Mapping[str, Stream], features: Mapping[str, Feature]
) -> Sequences:
    feedback = [s.name for s in streams.values() if s.kind in ("click", "conversion")]
    item_features = [f.name for f in features.values() if f.owner == "item"]
    sequences = Sequences(
        streams=table.names_among("streams", feedback, "a click or conversion stream"),
        history=table.count("history"),
        recent=table.count("recent"),
        features=table.names_among("features", item_features, "an item feature", []),
    )
    table.finish()
    return sequences


def _models(root: Table) -> dict[str, Mapping[str, Any]]:
    return {name: dict(table.values) for name, table in root.tables("models", {}).items()}
