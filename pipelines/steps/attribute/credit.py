"""Rules 1 to 4 and 8: which samples each newly settled event credits."""

from dataclasses import dataclass, replace

import numpy as np

from pipelines.arrays import Bools, Ints
from pipelines.steps.attribute.backbone import Backbone
from pipelines.steps.attribute.kernels import kept_later, named_domain, place, place_in_target
from pipelines.steps.attribute.memory import Memory, Outputs
from pipelines.steps.attribute.retract import Withdrawals, changeable, match_retractions
from pipelines.steps.attribute.rules import Rules
from pipelines.steps.attribute.tables import NEVER, Credits, Feedback, Pairs
from schemas.hashing import hash_one
from schemas.spec import Task

Flags = tuple[Ints, ...]
"""Clicks that flag samples, as the kernels want them: `_FLAG_COLUMNS` by sample."""

_FLAG_COLUMNS = ("flag", "time_ms", "settle_ms", "fall_ms", "fall_settle_ms")
_NO_FLAGS: Flags = (np.empty(0, np.int64),) * len(_FLAG_COLUMNS)


@dataclass(frozen=True)
class Credited:
    """The memory with new credits, what is to be withdrawn, and events whose label was closed."""

    memory: Memory
    withdrawals: Withdrawals
    closed: Ints


def credit(memory: Memory, fresh: int, rules: Rules) -> Credited:
    """Credit the last `fresh` rows of feedback to native samples."""
    rows = np.arange(len(memory.feedback) - fresh, len(memory.feedback))
    backbone = Backbone.of(memory, rows, rules)
    memory = _resolve_domains(memory, rows, backbone, rules)
    memory, withdrawals = match_retractions(memory, rules)
    memory = _flag_clicks(memory, rows, backbone, rules)
    memory, closed = _credit_tasks(memory, rows, backbone, rules)
    return Credited(memory, withdrawals, closed)


def _resolve_domains(memory: Memory, rows: Ints, backbone: Backbone, rules: Rules) -> Memory:
    """Without a scenario, the domain is that of the named request."""
    unknown = rows[(memory.feedback.domain[rows] < 0) & memory.feedback.named[rows]]
    domain = memory.feedback.domain.copy()
    events = backbone.events(memory.feedback, unknown)
    domain[unknown] = named_domain(events, rules.spec.longest_horizon_ms, backbone.requests)
    return replace(memory, feedback=replace(memory.feedback, domain=domain))


def _flag_clicks(memory: Memory, rows: Ints, backbone: Backbone, rules: Rules) -> Memory:
    """A click flags the sample that rule 2 credits under its stream's longest horizon."""
    flag = memory.feedback.flag.copy()
    for stream in rules.spec.of_kind("click"):
        horizon_ms = rules.spec.stream_horizon_ms(stream.name)
        if horizon_ms is None:
            continue
        clicks = rows[memory.feedback.stream[rows] == hash_one(stream.name)]
        placed, _ = _place(memory, clicks, horizon_ms, None, backbone, rules)
        flag[clicks] = placed
    return replace(memory, feedback=replace(memory.feedback, flag=flag))


def _place(
    memory: Memory,
    rows: Ints,
    horizon_ms: int,
    flags: Flags | None,
    backbone: Backbone,
    rules: Rules,
) -> tuple[Ints, Ints]:
    """Rule 2 for clicks, or for conversions, which are told the flags."""
    placed, tier = place(
        backbone.events(memory.feedback, rows),
        horizon_ms,
        flags is not None,
        backbone.requests,
        backbone.samples,
        flags or _NO_FLAGS,
        rules.reach_ms,
    )
    return placed, tier


def _flags(feedback: Feedback, oldest: int) -> Flags:
    """Clicks that flag a sample and are remembered, by sample."""
    rows = np.flatnonzero((feedback.flag >= 0) & (feedback.time_ms >= oldest))
    rows = rows[np.argsort(feedback.flag[rows], kind="stable")]
    return tuple(getattr(feedback, name)[rows] for name in _FLAG_COLUMNS)


def _credit_tasks(
    memory: Memory, rows: Ints, backbone: Backbone, rules: Rules
) -> tuple[Memory, Ints]:
    """Credits of every (event, task); also the events whose label was closed already."""
    closed = [np.empty(0, np.int64)]
    flags = _flags(memory.feedback, memory.last_cut - rules.spec.memory_ms)
    for index, task in enumerate(rules.tasks):
        events = rows[memory.feedback.stream[rows] == hash_one(task.stream)]
        pair = rules.may_credit(task, memory.feedback.domain[events])
        own = _place_own(memory, events, task, flags, backbone, rules)
        far = _place_far(memory, events, own.sample, task, flags, backbone, rules)
        unplaced = pair & (own.sample < 0) & (far.sample < 0)
        memory = replace(memory, unplaced=_with(memory.unplaced, events[unplaced], index, rules))
        memory = _reached(memory, events[far.sample >= 0])
        if rules.has_fourth_tier(task):
            at_home = (own.sample >= 0) & (memory.feedback.domain[events] == rules.target)
            free = events[(far.sample < 0) & ~at_home]
            memory = replace(memory, waiting=_with(memory.waiting, free, index, rules))
        for placed in (own, far):
            found = placed.sample >= 0
            still = found.copy()
            still[found] = changeable(memory, events[found], placed.sample[found], index, rules)
            closed.append(events[found & ~still])
            memory = _add(memory, events, placed, still, index, rules)
    return memory, np.concatenate(closed)


@dataclass(frozen=True)
class _Placed:
    """The sample that each event credits, -1 for none, and the tier."""

    sample: Ints
    tier: Ints

    @classmethod
    def nowhere(cls, events: Ints) -> "_Placed":
        return cls(np.full(len(events), -1, np.int64), np.full(len(events), -1, np.int64))


def _place_own(
    memory: Memory, events: Ints, task: Task, flags: Flags, backbone: Backbone, rules: Rules
) -> _Placed:
    """Rule 2: samples of the event's own domain, if the task names it."""
    placed = _Placed.nowhere(events)
    named = np.isin(memory.feedback.domain[events], rules.domains_of(task))
    clicked = flags if rules.is_conversion(task) else None
    placed.sample[named], placed.tier[named] = _place(
        memory, events[named], task.horizon_ms, clicked, backbone, rules
    )
    return placed


def _place_far(
    memory: Memory,
    events: Ints,
    own: Ints,
    task: Task,
    flags: Flags,
    backbone: Backbone,
    rules: Rules,
) -> _Placed:
    """Rule 3: samples of the target domain, for what is foreign to it or has no place there."""
    placed = _Placed.nowhere(events)
    if not rules.is_hierarchical(task):
        return placed
    conversion = rules.is_conversion(task)
    foreign = memory.feedback.domain[events] != rules.target
    may = foreign | ((own < 0) & conversion)
    placed.sample[may], placed.tier[may] = place_in_target(
        backbone.events(memory.feedback, events[may]),
        task.horizon_ms,
        conversion,
        rules.target,
        backbone.requests,
        backbone.samples,
        flags,
        rules.reach_ms,
    )
    return placed


def _reached(memory: Memory, events: Ints) -> Memory:
    reached = memory.feedback.reached.copy()
    reached[events] = True
    return replace(memory, feedback=replace(memory.feedback, reached=reached))


def _with(pairs: Pairs, events: Ints, task: int, rules: Rules) -> Pairs:
    return pairs.joined(Pairs(events, np.full(len(events), rules.task_ids[task])))


def _add(
    memory: Memory, events: Ints, placed: _Placed, which: Bools, task: int, rules: Rules
) -> Memory:
    feedback = events[which]
    credits = Credits(
        feedback=feedback,
        task=np.full(len(feedback), rules.task_ids[task]),
        sample=placed.sample[which],
        tier=placed.tier[which],
        withdrawn_ms=np.full(len(feedback), NEVER, np.int64),
        withdrawn_late=np.zeros(len(feedback), np.bool_),
    )
    return replace(memory, credits=memory.credits.joined(credits))


def count_unplaced(memory: Memory, cut: int, rules: Rules, outputs: Outputs) -> Memory:
    """Rule 4: count each (event, task) that no sample received, once, when its time has come."""
    rows, window = memory.unplaced, rules.spec.window
    time_ms = memory.feedback.time_ms[rows.feedback]
    due = np.maximum(
        rules.cut_at_or_after(time_ms + window.length_ms + window.maturity_ms),
        memory.feedback.settle_ms[rows.feedback],
    )
    now = due <= cut
    backbone = Backbone.of(memory, rows.feedback[now], rules)
    counted = backbone.events(memory.feedback, rows.feedback[now])
    requests, items = backbone.requests, backbone.samples[0]
    early = kept_later(counted, due[now], rules.target, requests, items)
    for task, task_id in zip(rules.tasks, rules.task_ids, strict=True):
        mine = rows.task[now] == task_id
        outputs.counts[f"before_request/{task.name}"] += int((mine & early).sum())
        outputs.counts[f"no_sample/{task.name}"] += int((mine & ~early).sum())
    return replace(memory, unplaced=rows.where(~now))
