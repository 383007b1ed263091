"""Rules 1, 2 and 7 for one user: which sample each event credits, and until when."""

import math
from collections import defaultdict

from benchmarks.per_element.user import Credit, Feedback, Sample, User
from schemas.spec import Spec, Task


def credit(user: User, spec: Spec) -> None:
    """First the clicks, then what looks at what was clicked."""
    by_item = _by_item(user)
    for kind in ("click", "conversion"):
        for event in user.feedback:
            if spec.streams[event.stream].kind == kind:
                _credit_tasks(event, by_item[event.fields["item_id"]], user, spec)
    user.counts["closed"] += sum(event.closed for event in user.feedback)


def _by_item(user: User) -> dict[str, list[Sample]]:
    """The samples of each item, the latest last; of one time, that of the smallest request id."""
    by_item: dict[str, list[Sample]] = defaultdict(list)
    falling = sorted(user.requests, key=lambda one: one.fields["request_id"], reverse=True)
    for request in sorted(falling, key=lambda one: one.time_ms):
        for sample in request.samples:
            by_item[sample.fields["item_id"]].append(sample)
    return by_item


def _credit_tasks(event: Feedback, of_item: list[Sample], user: User, spec: Spec) -> None:
    kind = spec.streams[event.stream].kind
    for task in spec.tasks.values():
        if task.stream != event.stream:
            continue
        sample, tier = _place(event, of_item, kind, task)
        if sample is None:
            user.counts[f"{_why_uncredited(event, of_item, spec)}/{task.name}"] += 1
            continue
        sample.credits.setdefault(task.name, []).append(_credit(event, sample, tier, task, spec))
        if kind == "click" and task.horizon_ms == spec.stream_horizon_ms(event.stream):
            sample.clicks.append(event)


def _place(
    event: Feedback, of_item: list[Sample], kind: str, task: Task
) -> tuple[Sample | None, str]:
    eligible = [
        one
        for one in of_item
        if one.request.domain == event.domain
        and one.request.time_ms <= event.time_ms <= one.request.time_ms + task.horizon_ms
    ]
    for one in eligible:
        if one.request.fields["request_id"] == event.fields["request_id"]:
            return one, "direct"
    if kind == "conversion":
        eligible = [one for one in eligible if _is_clicked(one, event.time_ms)] or eligible
    return (eligible[-1], "in_domain") if eligible else (None, "")


def _is_clicked(sample: Sample, time_ms: int) -> bool:
    return any(click.time_ms <= time_ms < click.falls_ms for click in sample.clicks)


def _why_uncredited(event: Feedback, of_item: list[Sample], spec: Spec) -> str:
    """Rule 4: whether the user was shown the item only afterwards."""
    window = spec.window
    due = window.cut_at_or_after(event.time_ms + window.length_ms + window.maturity_ms)
    shown = (one.request for one in of_item if one.request.domain == event.domain)
    early = any(event.time_ms < one.time_ms <= due for one in shown)
    return "before_request" if early else "no_sample"


def _credit(event: Feedback, sample: Sample, tier: str, task: Task, spec: Spec) -> Credit:
    request, falls_cut = sample.request, event.falls_cut
    settled = spec.window.cut_at_or_after(event.time_ms)
    if falls_cut == math.inf:
        return Credit(event, tier, settled, math.inf)
    closes = request.time_ms + task.horizon_ms + task.retraction_horizon_ms
    last = falls_cut - spec.window.length_ms
    if closes > max(event.falls_ms, last) or request.sealed_at >= falls_cut:
        return Credit(event, tier, settled, falls_cut)
    event.closed = True
    return Credit(event, tier, settled, math.inf)
