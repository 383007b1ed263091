"""Rules 5 and 12: what a window shows at its cut, and the revisions that it carries."""

import dataclasses
from typing import Any

from schemas.hashing import hash_one
from schemas.labels import TIER_CODES
from schemas.spec import Task
from tests.oracle.labels import label
from tests.oracle.record import user_record
from tests.oracle.schedule import WindowOutcome
from tests.oracle.state import Credit, Label, Sample, State


def revise(state: State, cut_ms: int) -> None:
    """Rule 5: "At each later cut `C_v` a sample whose label differs from the last published one
    in value, tier, event id or event time gets exactly one **revision**, carried by window v".
    """
    revisions = [
        revision
        for sample in sorted(state.all_samples, key=revision_order)
        if sample.cut_ms < cut_ms
        for task in sorted(state.spec.tasks.values(), key=lambda task: task.name.encode())
        if (revision := revision_of(state, sample, task, cut_ms)) is not None
    ]
    if revisions:
        window_at(state, cut_ms).revisions = revisions


def revision_order(sample: Sample) -> tuple[object, ...]:
    """Rule 12: "revisions by (sample's window, user, request as above, item, task name)"."""
    return (
        sample.window_start_ms,
        sample.user.encode(),
        request_order(sample),
        sample.item.encode(),
    )


def request_order(sample: Sample) -> tuple[int, bool, bytes, bytes]:
    """Rule 12: "requests by time, native ones by id, then pseudo ones by (source request id,
    item)"."""
    first, then = sample.pseudo_of or (sample.request_id, "")
    return sample.time_ms, sample.pseudo_of is not None, first.encode(), then.encode()


def revision_of(state: State, sample: Sample, task: Task, cut_ms: int) -> dict[str, Any] | None:
    """Rule 5: "sample's window, user, request id, item, task, old and new label, `retraction`,
    `late`". What was published last is from now on the new label."""
    old = state.published[sample, task.name]
    new = label(state, sample, task, cut_ms)
    if not differs(old, new):
        return None
    state.published[sample, task.name] = new
    moved = [c for c in state.credits if c.sample is sample and c.task is task]
    return {
        "window_start_ms": sample.window_start_ms,
        "user_id": sample.user,
        "user": hash_one(sample.user),
        "request_time_ms": sample.time_ms,
        "request_id": sample.request_id,
        "item_id": sample.item,
        "task": task.name,
        **label_columns("old", old),
        **label_columns("new", new),
        "retraction": any(credit.withdrawn_cut_ms == cut_ms for credit in moved),
        "late": any(moved_late(credit, cut_ms) for credit in moved),
    }


def differs(old: Label, new: Label) -> bool:
    """Rule 5: "in value, tier, event id or event time": being open is no difference."""
    return dataclasses.replace(old, open=False) != dataclasses.replace(new, open=False)


def moved_late(credit: Credit, cut_ms: int) -> bool:
    """Rule 5: "`late` (one of those credits or withdrawals was read late)"."""
    settled_late = credit.settled_cut_ms == cut_ms and credit.feedback.arrival.late
    return settled_late or (credit.withdrawn_cut_ms == cut_ms and credit.withdrawn_late)


def label_columns(prefix: str, one: Label) -> dict[str, Any]:
    return {
        f"{prefix}_value": one.value,
        f"{prefix}_tier": None if one.tier is None else TIER_CODES[one.tier],
        f"{prefix}_event_id": one.event_id,
        f"{prefix}_time_ms": one.time_ms,
        f"{prefix}_open": one.open,
    }


def publish(state: State, cut_ms: int) -> None:
    """Rule 5: "The window shows `L(s, C_w)`". Rule 12: "a user record if the user has a request
    in it; users by id"."""
    for sample in state.all_samples:
        if sample.cut_ms == cut_ms:
            for task in state.spec.tasks.values():
                state.published[sample, task.name] = label(state, sample, task, cut_ms)
    start_ms = state.spec.window.window_of_cut(cut_ms)
    users = {r.user for r in state.requests if state.spec.window.start(r.time_ms) == start_ms}
    for user in sorted(users, key=str.encode):
        window_at(state, cut_ms).users.append(user_record(state, user, start_ms))


def window_at(state: State, cut_ms: int) -> WindowOutcome:
    """Rule 12: "a window exists if it holds a request or a revision"."""
    start_ms = state.spec.window.window_of_cut(cut_ms)
    return state.outcome.windows.setdefault(start_ms, WindowOutcome())
