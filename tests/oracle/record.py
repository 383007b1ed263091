"""One user's record of one window, as fastavro would read it."""

from collections.abc import Sequence
from typing import Any

from schemas.hashing import hash_one
from schemas.labels import ORIGIN_CODES, TIER_CODES
from schemas.spec import Feature, Spec
from tests.oracle.sequences import actions, history, recent
from tests.oracle.state import Arrival, Feedback, Label, Sample, State
from tests.oracle.validation import distinct_candidates


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
        **feature_columns(carried, fields),
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
        **{feature.name: encode(feature, fields.get(feature.name)) for feature in features},
        "candidates": candidate_arrays(state, request),
    }


def candidate_arrays(state: State, request: Arrival) -> dict[str, Any]:
    """Rule 12: "candidates by position". Rule 9: probability "1 for every other origin"."""
    kept = [c for c in distinct_candidates(request.event) if c["exposed"]]
    return {
        "item": [hash_one(candidate["item_id"]) for candidate in kept],
        "item_id": [candidate["item_id"] for candidate in kept],
        "origin": [ORIGIN_CODES["exposed"] for _ in kept],
        "position": [candidate["position"] for candidate in kept],
        "probability": [1.0 for _ in kept],
        **feature_columns(state.spec.owned_by("item", "cross"), kept),
        "labels": label_arrays(state, request, [candidate["item_id"] for candidate in kept]),
    }


def label_arrays(state: State, request: Arrival, items: list[str]) -> dict[str, Any]:
    samples = [sample_of(state, request, item) for item in items]
    return {
        task: label_struct([state.published[sample, task] for sample in samples])
        for task in state.spec.tasks
    }


def sample_of(state: State, request: Arrival, item: str) -> Sample:
    wanted = (request.user, request.fields["request_id"], request.time_ms, item)
    return next(
        sample
        for sample in state.samples
        if (sample.user, sample.request_id, sample.time_ms, sample.item) == wanted
    )


def label_struct(labels: list[Label]) -> dict[str, list[Any]]:
    return {
        "value": [one.value for one in labels],
        "tier": [None if one.tier is None else TIER_CODES[one.tier] for one in labels],
        "event_id": [one.event_id for one in labels],
        "time_ms": [one.time_ms for one in labels],
        "open": [one.open for one in labels],
    }


def feature_columns(
    features: Sequence[Feature], rows: list[dict[str, Any]]
) -> dict[str, list[Any]]:
    return {
        feature.name: [encode(feature, row.get(feature.name)) for row in rows]
        for feature in features
    }


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
