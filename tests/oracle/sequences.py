"""Rule 11: what a user did before a window and in it."""

from schemas.spec import Spec
from tests.oracle.state import Feedback, State


def actions(state: State, user: str) -> list[Feedback]:
    """Rule 11: "An action is a feedback event of a stream in `sequences.streams`, credited or
    not, retracted or not"; "by (time, stream, event id)". Only what is settled by now."""
    done = [
        event
        for event in state.feedback
        if event.user == user and event.stream in state.spec.sequences.streams
    ]
    return sorted(done, key=lambda e: (e.time_ms, e.stream.encode(), e.event_id.encode()))


def history(spec: Spec, done: list[Feedback], start_ms: int) -> list[Feedback]:
    """Rule 11: "H: the last N with `t <` window start"."""
    before = [action for action in done if action.time_ms < start_ms]
    return before[max(0, len(before) - spec.sequences.history) :]


def recent(spec: Spec, done: list[Feedback], start_ms: int) -> list[Feedback]:
    """Rule 11: "R: those with `start ≤ t < end` (a cap keeps the earliest)"."""
    end_ms = start_ms + spec.window.length_ms
    within = [action for action in done if start_ms <= action.time_ms < end_ms]
    return within[: spec.sequences.recent]
