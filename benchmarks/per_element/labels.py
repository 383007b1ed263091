"""Rules 4 to 6 for one user: labels at cuts, and the revisions between them."""

import math
from collections.abc import Iterator

from benchmarks.per_element.events import Fields
from benchmarks.per_element.user import Credit, Request, Sample, User
from schemas.hashing import hash_one
from schemas.labels import TIER_CODES
from schemas.spec import Spec, Task

Shown = tuple[Credit | None, int]
"""A label and the cut at which it was shown."""


def labels_of(request: Request, task: Task) -> Fields:
    """One task's labels of all samples of a request, as its window shows them."""
    cut = request.sealed_at
    shown = [_label(one, task, cut) for one in request.samples]
    return {
        "value": [0.0 if one is None else 1.0 for one in shown],
        "tier": [None if one is None else TIER_CODES[one.tier] for one in shown],
        "event_id": [None if one is None else one.event.fields["event_id"] for one in shown],
        "time_ms": [None if one is None else one.event.time_ms for one in shown],
        "open": [_is_open(request, task, cut)] * len(shown),
    }


def _label(sample: Sample, task: Task, cut: int) -> Credit | None:
    for one in sample.credits.get(task.name, ()):
        if one.settled <= cut < one.withdrawn:
            return one
    return None


def _is_open(request: Request, task: Task, cut: int) -> bool:
    return request.time_ms + task.horizon_ms + task.retraction_horizon_ms > cut


def revisions(user_id: str, user: User, spec: Spec) -> Iterator[tuple[int, Fields]]:
    """Rule 5: changes of published labels, each with the window that carries it."""
    who = {"user_id": user_id, "user": hash_one(user_id)}
    for sample in (one for request in user.requests for one in request.samples):
        for name in sample.credits:
            for carrier_ms, row in _changes(sample, spec.tasks[name], spec):
                yield carrier_ms, who | row


def _changes(sample: Sample, task: Task, spec: Spec) -> Iterator[tuple[int, Fields]]:
    credits, sealed_at = sample.credits[task.name], sample.request.sealed_at
    cuts = {cut for one in credits for cut in (one.settled, one.withdrawn)}
    shown: Shown = (_label(sample, task, sealed_at), sealed_at)
    for cut in sorted(int(cut) for cut in cuts if sealed_at < cut < math.inf):
        label = _label(sample, task, cut)
        if label is not shown[0]:
            retraction = any(one.withdrawn == cut for one in credits)
            row = _revision(sample, task, shown, (label, cut), spec)
            yield spec.window.window_of_cut(cut), row | {"retraction": retraction}
            shown = label, cut


def _revision(sample: Sample, task: Task, old: Shown, new: Shown, spec: Spec) -> Fields:
    request = sample.request
    return {
        "window_start_ms": spec.window.start(request.time_ms),
        "request_time_ms": request.time_ms,
        "request_id": request.fields["request_id"],
        "item_id": sample.fields["item_id"],
        "task": task.name,
        "late": False,
        **_side("old", request, task, old),
        **_side("new", request, task, new),
    }


def _side(prefix: str, request: Request, task: Task, shown: Shown) -> Fields:
    label, cut = shown
    return {
        f"{prefix}_value": 0.0 if label is None else 1.0,
        f"{prefix}_tier": None if label is None else TIER_CODES[label.tier],
        f"{prefix}_event_id": None if label is None else label.event.fields["event_id"],
        f"{prefix}_time_ms": None if label is None else label.event.time_ms,
        f"{prefix}_open": _is_open(request, task, cut),
    }
