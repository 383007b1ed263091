"""The rules of validation, one event at a time, written from the list of reasons alone.

Each rule is a function that returns the path of the first field it objects to, "" for the event as
a whole, or None. `examine` tries them in the order of the reasons.
"""

import json
import math
import re
from collections.abc import Callable, Iterator
from typing import Any

from schemas.spec import Spec

ABSENT = None
DEEPEST = 200
YEAR_10000_MS = 253_402_300_800_000
ID_NAMES = {"request_id", "user_id", "event_id", "item_id"}

Path = str
Verdict = tuple[str, Path | None]


def examine(spec: Spec, stream: str, line: bytes, now_ms: int) -> Verdict | dict[str, Any]:
    """The reason and field for which a line is refused, or the event it holds."""
    text = line.decode("utf-8", "surrogateescape")
    try:
        event = json.loads(text)
    except ValueError:
        return "bad_json", None
    if depth(json.loads(text, object_pairs_hook=values_of)) > DEEPEST:
        return "bad_json", None
    latest_ms = now_ms + spec.time.max_ahead_ms
    time_ms = event.get("time_ms") if isinstance(event, dict) else None
    if is_time(time_ms) and math.floor(time_ms) > latest_ms:
        return "future", "time_ms"
    if not encodes(text) or not encodes(json.dumps(event, ensure_ascii=False)):
        return "bad_utf8", None
    if not isinstance(event, dict):
        return "not_an_object", None
    fields = fields_of(spec, stream)
    for reason, rule in RULES.items():
        path = rule(spec, stream, fields, event)
        if path is not None:
            return reason, path
    return plain(fields, event)


def values_of(pairs: list[tuple[str, Any]]) -> list[Any]:
    return [value for _, value in pairs]


def depth(value: Any) -> int:
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


def encodes(text: str) -> bool:
    return re.search("[\ud800-\udfff]", text) is None


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def as_float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def is_time(value: Any) -> bool:
    return is_number(value) and math.isfinite(as_float(value))


class Field:
    """Name, kind (`text`, `texts`, `number`, `time`, `place`, `flag`, `candidates`), required."""

    def __init__(self, name: str, kind: str, required: bool = False, parts: Any = ()) -> None:
        self.name, self.kind, self.required, self.parts = name, kind, required, parts


def fields_of(spec: Spec, stream: str) -> list[Field]:
    def declared(*owners: Any) -> list[Field]:
        return [feature_field(feature) for feature in spec.owned_by(*owners)]

    kind = spec.streams[stream].kind
    time = Field("time_ms", "time", True)
    if kind == "exposure":
        candidate = [Field("item_id", "text", True), Field("position", "place", True)]
        candidate += [Field("exposed", "flag"), *declared("item", "cross")]
        head = [Field("request_id", "text", True), Field("user_id", "text", True), time]
        head += [Field("scenario", "text", True), Field("query", "text")]
        last = Field("candidates", "candidates", True, candidate)
        return [*head, *declared("user", "context", "query"), last]
    if kind == "item":
        return [Field("item_id", "text", True), time, Field("title", "text"), *declared("item")]
    if kind == "retraction":
        return [*(Field(name, "text", True) for name in ("stream", "event_id", "user_id")), time]
    head = [Field("event_id", "text", True), Field("user_id", "text", True), time]
    head += [Field("item_id", "text", True), Field("scenario", "text")]
    head += [Field("request_id", "text"), Field("value", "number")]
    return [*head, *(feature_field(spec.features[name]) for name in spec.sequences.features)]


def feature_field(feature: Any) -> Field:
    return Field(feature.name, {"id": "text", "ids": "texts", "number": "number"}[feature.type])


def places(fields: list[Field], event: dict[str, Any]) -> Iterator[tuple[Field, Path, list[Any]]]:
    """Each declared field, its path, and its value: in candidates, one value for each."""
    for field in fields:
        yield field, field.name, [event.get(field.name)]
        value = event.get(field.name)
        if field.kind == "candidates" and isinstance(value, list):
            candidates = [one for one in value if isinstance(one, dict)]
            for part in field.parts:
                path = f"{field.name}.{part.name}"
                yield part, path, [one.get(part.name) for one in candidates]


def missing(spec: Spec, stream: str, fields: list[Field], event: dict[str, Any]) -> Path | None:
    for field, path, values in places(fields, event):
        for value in values:
            if field.required and (value is None or (field.name in ID_NAMES and value == "")):
                return path
            if field.kind in ("texts", "candidates") and isinstance(value, list) and None in value:
                return path
    return None


def has_kind(kind: str, value: Any) -> bool:
    if kind == "text":
        return isinstance(value, str)
    if kind == "number":
        return is_number(value)
    if kind == "time":
        return is_time(value)
    if kind == "place":
        return isinstance(value, int) and not isinstance(value, bool)
    if kind == "flag":
        return isinstance(value, bool)
    inside = str if kind == "texts" else dict
    return isinstance(value, list) and all(isinstance(one, inside) for one in value)


def wrong_type(spec: Spec, stream: str, fields: list[Field], event: dict[str, Any]) -> Path | None:
    for field, path, values in places(fields, event):
        for value in values:
            if isinstance(value, list) and field.kind in ("texts", "candidates"):
                value = [one for one in value if one is not None]
            if value is not None and not has_kind(field.kind, value):
                return path
    return None


def bad_time(spec: Spec, stream: str, fields: list[Field], event: dict[str, Any]) -> Path | None:
    return None if 0 <= math.floor(event["time_ms"]) < YEAR_10000_MS else "time_ms"


def texts(fields: list[Field], event: dict[str, Any]) -> Iterator[tuple[Field, Path, str]]:
    for field, path, values in places(fields, event):
        for value in values:
            found = value if field.kind == "texts" and value else [value]
            yield from ((field, path, one) for one in found if isinstance(one, str))


def too_long(spec: Spec, stream: str, fields: list[Field], event: dict[str, Any]) -> Path | None:
    for field, path, text in texts(fields, event):
        if len(text.encode()) > (1024 if field.name in ID_NAMES else 65536):
            return path
    return None


def unknown_scenario(
    spec: Spec, stream: str, fields: list[Field], event: dict[str, Any]
) -> Path | None:
    if all(field.name != "scenario" for field in fields) or event.get("scenario") is None:
        return None
    return None if event["scenario"] in spec.scenarios else "scenario"


def unknown_stream(
    spec: Spec, stream: str, fields: list[Field], event: dict[str, Any]
) -> Path | None:
    if spec.streams[stream].kind != "retraction":
        return None
    known = [s.name for s in spec.streams.values() if s.kind in ("click", "conversion")]
    return None if event["stream"] in known else "stream"


def missing_value(
    spec: Spec, stream: str, fields: list[Field], event: dict[str, Any]
) -> Path | None:
    if not any(task.stream == stream and task.value != "binary" for task in spec.tasks.values()):
        return None
    value = event.get("value")
    return None if value is not None and math.isfinite(as_float(value)) else "value"


def out_of_vocabulary(
    spec: Spec, stream: str, fields: list[Field], event: dict[str, Any]
) -> Path | None:
    for field, path, text in texts(fields, event):
        feature = spec.features.get(field.name)
        if feature and feature.vocabulary and text not in feature.vocabulary:
            return path
    return None


def bad_number(spec: Spec, stream: str, fields: list[Field], event: dict[str, Any]) -> Path | None:
    for field, path, values in places(fields, event):
        if field.kind == "number" and any(v is not None and not is_time(v) for v in values):
            return path
    return None


def no_candidates(
    spec: Spec, stream: str, fields: list[Field], event: dict[str, Any]
) -> Path | None:
    is_exposure = spec.streams[stream].kind == "exposure"
    return "candidates" if is_exposure and not event["candidates"] else None


def bad_position(
    spec: Spec, stream: str, fields: list[Field], event: dict[str, Any]
) -> Path | None:
    if spec.streams[stream].kind != "exposure":
        return None
    held = [candidate["position"] for candidate in event["candidates"]]
    legal = all(0 <= place < 2**31 for place in held) and len(set(held)) == len(held)
    return None if legal else "candidates.position"


RULES: dict[str, Callable[[Spec, str, list[Field], dict[str, Any]], Path | None]] = {
    "missing_field": missing,
    "wrong_type": wrong_type,
    "bad_time": bad_time,
    "too_long": too_long,
    "unknown_scenario": unknown_scenario,
    "unknown_stream": unknown_stream,
    "missing_value": missing_value,
    "out_of_vocabulary": out_of_vocabulary,
    "bad_number": bad_number,
    "no_candidates": no_candidates,
    "bad_position": bad_position,
}


def plain(fields: list[Field], event: dict[str, Any]) -> dict[str, Any]:
    """The event with its declared fields only, in their declared types."""
    return {field.name: as_declared(field, event.get(field.name)) for field in fields}


def as_declared(field: Field, value: Any) -> Any:
    if field.kind == "flag":
        return True if value is None else value
    if value is None:
        return None
    if field.kind == "time":
        return math.floor(value)
    if field.kind == "candidates":
        return [plain(field.parts, candidate) for candidate in value]
    return float(value) if field.kind == "number" else value
