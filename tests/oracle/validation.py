"""What makes an event a dead letter before anything is asked of other events."""

import math
from collections.abc import Callable
from typing import Any

from schemas.spec import FEEDBACK_KINDS, Spec
from tests.oracle.schedule import Event


def rejection(spec: Spec, event: Event, now_ms: int) -> str | None:
    """Identity: "Reasons are tried in this order: `future`, what makes an event unusable"."""
    if is_future(spec, event, now_ms):
        return "future"
    for reason, applies in UNUSABLE.items():
        if applies(spec, event):
            return reason
    return None


def is_future(spec: Spec, event: Event, now_ms: int) -> bool:
    """Time: "An event dated later than the reader's clock + `max_ahead` (spec)"."""
    return int(event.fields["time_ms"]) > now_ms + spec.time.max_ahead_ms


def has_bad_time(spec: Spec, event: Event) -> bool:
    """Time: "integer milliseconds since 1970 UTC": none is negative."""
    return int(event.fields["time_ms"]) < 0


def has_unknown_scenario(spec: Spec, event: Event) -> bool:
    """Identity: "unknown scenario": an exposure's, or one that a feedback names."""
    if not is_exposure(spec, event) and not is_feedback(spec, event.stream):
        return False
    scenario = event.fields.get("scenario")
    return scenario is not None and scenario not in spec.scenarios


def has_unknown_stream(spec: Spec, event: Event) -> bool:
    """Identity: "unknown [...] stream": a retraction names a stream that is no feedback."""
    if spec.streams[event.stream].kind != "retraction":
        return False
    return not is_feedback(spec, event.fields["stream"])


def lacks_value(spec: Spec, event: Event) -> bool:
    """Identity: "a value task's event without its finite value"."""
    if event.stream not in spec.valued_streams():
        return False
    value = event.fields.get("value")
    return value is None or not math.isfinite(value)


def has_bad_number(spec: Spec, event: Event) -> bool:
    """Section 5, "a bad event": a number that is none, even where no task asks for it."""
    return is_feedback(spec, event.stream) and not math.isfinite(event.fields.get("value") or 0.0)


def lacks_candidates(spec: Spec, event: Event) -> bool:
    """Identity: "empty list: `no_candidates`"."""
    return is_exposure(spec, event) and not event.fields["candidates"]


def has_bad_position(spec: Spec, event: Event) -> bool:
    """Identity: "Two candidates at one position: dead letter `bad_position`"."""
    if not is_exposure(spec, event):
        return False
    positions = [candidate["position"] for candidate in event.fields["candidates"]]
    return min(positions) < 0 or len(set(positions)) < len(positions)


UNUSABLE: dict[str, Callable[[Spec, Event], bool]] = {
    "bad_time": has_bad_time,
    "unknown_scenario": has_unknown_scenario,
    "unknown_stream": has_unknown_stream,
    "missing_value": lacks_value,
    "bad_number": has_bad_number,
    "no_candidates": lacks_candidates,
    "bad_position": has_bad_position,
}


def is_exposure(spec: Spec, event: Event) -> bool:
    return spec.streams[event.stream].kind == "exposure"


def is_feedback(spec: Spec, stream: str) -> bool:
    return stream in spec.streams and spec.streams[stream].kind in FEEDBACK_KINDS


def distinct_candidates(event: Event) -> list[dict[str, Any]]:
    """Identity: "A list that repeats an item keeps its exposed occurrence at the lowest
    position, else the lowest". In order of position."""
    kept: dict[str, dict[str, Any]] = {}
    for candidate in sorted(event.fields["candidates"], key=_exposed_first_then_position):
        kept.setdefault(candidate["item_id"], candidate)
    return sorted(kept.values(), key=lambda candidate: candidate["position"])


def _exposed_first_then_position(candidate: dict[str, Any]) -> tuple[bool, int]:
    return (not candidate["exposed"], candidate["position"])
