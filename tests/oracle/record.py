"""One user's record of one window, as fastavro would read it."""

from typing import Any

from schemas.hashing import hash_one
from schemas.labels import ORIGIN_CODES, TIER_CODES
from schemas.spec import Feature, Spec
from tests.oracle.sequences import actions, history, recent
from tests.oracle.state import Arrival, Feedback, Label, Sample, State


def user_record(state: State, user: str, start_ms: int) -> dict[str, Any]:
    """Rule 12: "requests by time, native ones by id"."""
    spec = state.spec
    requests = [
        request
        for request in state.requests
        if request.user == user and spec.window.start(request.time_ms) == start_ms
    ]
    requests.sort(key=lambda request: (request.time_ms, request.fields["request_id"].encode()))
    done = actions(state, user)
    return {
        "user_id": user,
        "user": hash_one(user),
        "window_start_ms": start_ms,
        "history": sequence(spec, history(spec, done, start_ms)),
        "recent": sequence(spec, recent(spec, done, start_ms)),
        "requests": [request_record(state, request) for request in requests],
    }


def sequence(spec: Spec, done: list[Feedback]) -> dict[str, list[Any]]:
    fields = [action.arrival.fields for action in done]
    carried = [spec.features[name] for name in spec.sequences.features]
    return {
        "time_ms": [action.time_ms for action in done],
        "item": [hash_one(action.item) for action in done],
        "action": [hash_one(action.stream) for action in done],
        "scenario": [hash_or_none(values.get("scenario")) for values in fields],
        **{
            feature.name: [encode(feature, values.get(feature.name)) for values in fields]
            for feature in carried
        },
    }


def request_record(state: State, request: Arrival) -> dict[str, Any]:
    fields = request.fields
    domain = state.spec.domain_of(fields["scenario"])
    features = state.spec.owned_by("user", "context", "query")
    return {
        "id": fields["request_id"],
        "time_ms": request.time_ms,
        "scenario": fields["scenario"],
        "domain": domain,
        "origin_domain": domain,
        "query": fields.get("query"),
        **{feature.name: shown(feature, domain, fields) for feature in features},
        "candidates": candidate_arrays(state, request),
    }


def candidate_arrays(state: State, request: Arrival) -> dict[str, Any]:
    """Rule 12: "candidates by position"."""
    kept = [sample for sample in state.samples if sample.request is request]
    kept.sort(key=lambda sample: sample.candidate["position"])
    candidates = [sample.candidate for sample in kept]
    domain = state.spec.domain_of(request.fields["scenario"])
    return {
        "item": [hash_one(sample.item) for sample in kept],
        "item_id": [sample.item for sample in kept],
        "origin": [ORIGIN_CODES[sample.origin] for sample in kept],
        "position": [candidate["position"] for candidate in candidates],
        "probability": [sample.probability for sample in kept],
        **{
            feature.name: [shown(feature, domain, candidate) for candidate in candidates]
            for feature in state.spec.owned_by("item", "cross")
        },
        "labels": label_arrays(state, kept),
    }


def label_arrays(state: State, samples: list[Sample]) -> dict[str, Any]:
    return {
        task: label_struct([state.published[sample, task] for sample in samples])
        for task in state.spec.tasks
    }


def label_struct(labels: list[Label]) -> dict[str, list[Any]]:
    return {
        "value": [one.value for one in labels],
        "tier": [None if one.tier is None else TIER_CODES[one.tier] for one in labels],
        "event_id": [one.event_id for one in labels],
        "time_ms": [one.time_ms for one in labels],
        "open": [one.open for one in labels],
    }


def shown(feature: Feature, domain: str, values: dict[str, Any]) -> Any:
    """A feature that names `domains` is missing, not its default, outside them."""
    return (
        encode(feature, values.get(feature.name))
        if feature.is_logged_in(domain)
        else missing(feature)
    )


def missing(feature: Feature) -> Any:
    return [] if feature.type == "ids" else None


def encode(feature: Feature, value: Any) -> Any:
    """An `id` is its hash, `ids` are hashes, a `number` a float64; a null takes the default."""
    if feature.type == "ids":
        return [hash_one(one) for one in value or []]
    if value is None:
        value = feature.default
    if value is None:
        return None
    return hash_one(value) if feature.type == "id" else float(value)


def hash_or_none(text: str | None) -> int | None:
    return None if text is None else hash_one(text)
