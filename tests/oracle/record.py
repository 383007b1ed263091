"""One user's record of one window, as fastavro would read it."""

from typing import Any

from schemas.hashing import hash_one
from schemas.spec import Spec
from tests.oracle.features import encode, hash_or_none
from tests.oracle.requests import native_request, pseudo_request
from tests.oracle.sequences import actions, history, recent
from tests.oracle.state import Feedback, State


def user_record(state: State, user: str, start_ms: int) -> dict[str, Any]:
    """Rule 12: "a user record if the user has a request in it, native or pseudo"."""
    spec, done = state.spec, actions(state, user)
    return {
        "user_id": user,
        "user": hash_one(user),
        "window_start_ms": start_ms,
        "history": sequence(spec, history(spec, done, start_ms)),
        "recent": sequence(spec, recent(spec, done, start_ms)),
        "requests": requests_in_order(state, user, start_ms),
    }


def requests_in_order(state: State, user: str, start_ms: int) -> list[dict[str, Any]]:
    """Rule 12: "requests by time, native ones by id, then pseudo ones by (source request id,
    item)"."""
    native = [
        request
        for request in state.requests
        if request.user == user and state.spec.window.start(request.time_ms) == start_ms
    ]
    native.sort(key=lambda request: request.fields["request_id"].encode())
    pseudo = [
        one
        for one in state.pseudo_requests
        if one.positive.user == user and one.positive.window_start_ms == start_ms
    ]
    pseudo.sort(key=lambda one: tuple(part.encode() for part in one.positive.pseudo_of or ()))
    records = [native_request(state, request) for request in native]
    records += [pseudo_request(state, one) for one in pseudo]
    return sorted(records, key=lambda record: record["time_ms"])


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
