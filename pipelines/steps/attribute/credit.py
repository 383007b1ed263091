"""Rules 1, 2, 7 and 8: which sample each newly settled event credits, and what is withdrawn."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pipelines.arrays import Bools, Ints
from pipelines.steps.attribute.kernels import exposed_later, named_domain, place
from pipelines.steps.attribute.memory import Memory, Outputs
from pipelines.steps.attribute.rules import Rules
from pipelines.steps.attribute.tables import NEVER, Credits, Feedback, Unplaced
from pipelines.steps.ragged import offsets_of, runs
from schemas.hashing import hash_one


@dataclass(frozen=True)
class Backbone:
    """The settled requests as the kernels want them."""

    user: Ints
    requests: tuple[Ints, Ints, Ints, Ints]
    items: Ints

    @classmethod
    def of(cls, memory: Memory, rules: Rules) -> "Backbone":
        """The memory's requests, in (user, time, request id falling) order."""
        rows = memory.requests
        domain, offsets = rules.domain_of(rows.scenario), offsets_of(rows.samples)
        requests = (rows.time_ms, rows.request, domain, offsets)
        return cls(rows.user, requests, memory.samples.item)

    def events(self, feedback: Feedback, rows: Ints) -> tuple[Any, ...]:
        """Rows of feedback with the bounds of their users' requests, as the kernels want them."""
        user = feedback.user[rows]
        return (
            np.searchsorted(self.user, user, side="left"),
            np.searchsorted(self.user, user, side="right"),
            feedback.time_ms[rows],
            feedback.item[rows],
            feedback.domain[rows],
            feedback.request[rows],
            feedback.named[rows],
            feedback.settle_ms[rows],
        )


def credit(memory: Memory, fresh: int, rules: Rules, outputs: Outputs) -> Memory:
    """Credit the last `fresh` rows of feedback, then withdraw what retractions cancel."""
    backbone = Backbone.of(memory, rules)
    rows = np.arange(len(memory.feedback) - fresh, len(memory.feedback))
    memory = _resolve_domains(memory, rows, backbone, rules)
    memory, withdrawals = _match_retractions(memory, rules)
    memory = _flag_clicks(memory, rows, backbone, rules)
    memory, closed = _credit_tasks(memory, rows, backbone, rules)
    memory, refused = _withdraw(memory, withdrawals, rules)
    outputs.counts["closed"] += len(np.unique(closed)) + refused
    return memory


def _resolve_domains(memory: Memory, rows: Ints, backbone: Backbone, rules: Rules) -> Memory:
    """Without a scenario, the domain is that of the named request."""
    unknown = rows[(memory.feedback.domain[rows] < 0) & memory.feedback.named[rows]]
    domain = memory.feedback.domain.copy()
    events = backbone.events(memory.feedback, unknown)
    domain[unknown] = named_domain(events, rules.spec.longest_horizon_ms, backbone.requests)
    return replace(memory, feedback=replace(memory.feedback, domain=domain))


@dataclass(frozen=True)
class Withdrawals:
    """Per feedback row: the cut at which its retraction acts, from when, and if it came late."""

    cut: Ints
    acts_from_ms: Ints
    late: Bools


def _match_retractions(memory: Memory, rules: Rules) -> tuple[Memory, Withdrawals]:
    """Rule 7: pair retractions with their events; each pair acts once, at the later's cut."""
    feedback, retractions = memory.feedback, memory.retractions
    settled = np.flatnonzero(retractions.settle_ms != NEVER)
    order = np.argsort(feedback.key, kind="stable") if len(settled) else np.empty(0, np.int64)
    begin = np.searchsorted(feedback.key[order], retractions.key[settled], side="left")
    stop = np.searchsorted(feedback.key[order], retractions.key[settled], side="right")
    event = order[runs(begin, stop - begin)]
    retraction = np.repeat(settled, stop - begin)
    cut = np.maximum(feedback.settle_ms[event], retractions.settle_ms[retraction])
    keep = _may_act(memory, event, retraction, cut, rules)
    event, retraction, cut = event[keep], retraction[keep], cut[keep]
    matched = retractions.matched.copy()
    matched[retraction] = True
    memory = replace(memory, retractions=replace(retractions, matched=matched))
    return _fall(memory, event, retraction, cut)


def _may_act(memory: Memory, event: Ints, retraction: Ints, cut: Ints, rules: Rules) -> Bools:
    feedback, retractions = memory.feedback, memory.retractions
    memory_ms = rules.spec.memory_ms
    time_e, time_r = feedback.time_ms[event], retractions.time_ms[retraction]
    oldest = cut - rules.reach_ms
    remembered = (time_e >= oldest) & (time_r >= oldest)
    waiting = (retractions.settle_ms[retraction] == cut) | (time_r > oldest)
    new = cut > memory.last_cut
    return (time_e <= time_r + memory_ms) & remembered & waiting & new


def _fall(memory: Memory, event: Ints, retraction: Ints, cut: Ints) -> tuple[Memory, Withdrawals]:
    """The first retraction of each event, on the event."""
    feedback = memory.feedback
    acts_from = np.maximum(feedback.time_ms[event], memory.retractions.time_ms[retraction])
    order = np.lexsort((acts_from, cut, event))
    first = order[np.unique(event[order], return_index=True)[1]]
    first = first[feedback.fall_settle_ms[event[first]] == NEVER]
    fall_ms, fall_settle_ms = feedback.fall_ms.copy(), feedback.fall_settle_ms.copy()
    fall_ms[event[first]] = acts_from[first]
    fall_settle_ms[event[first]] = cut[first]
    late = np.zeros(len(feedback), np.bool_)
    late[event[first]] = memory.retractions.late[retraction[first]]
    fallen = replace(feedback, fall_ms=fall_ms, fall_settle_ms=fall_settle_ms)
    return replace(memory, feedback=fallen), Withdrawals(fall_settle_ms, fall_ms, late)


def _flag_clicks(memory: Memory, rows: Ints, backbone: Backbone, rules: Rules) -> Memory:
    """A click flags the sample that rule 2 credits under its stream's longest horizon."""
    flag = memory.feedback.flag.copy()
    for stream in rules.spec.of_kind("click"):
        horizon_ms = rules.spec.stream_horizon_ms(stream.name)
        if horizon_ms is None:
            continue
        clicks = rows[memory.feedback.stream[rows] == hash_one(stream.name)]
        placed, _ = _place(memory, clicks, horizon_ms, False, backbone, rules)
        flag[clicks] = placed
    return replace(memory, feedback=replace(memory.feedback, flag=flag))


def _place(
    memory: Memory, rows: Ints, horizon_ms: int, conversion: bool, backbone: Backbone, rules: Rules
) -> tuple[Ints, Ints]:
    events = backbone.events(memory.feedback, rows)
    flags = _flags(memory.feedback)
    reach_ms = rules.reach_ms
    placed, tier = place(
        events, horizon_ms, conversion, backbone.requests, backbone.items, flags, reach_ms
    )
    return placed, tier


def _flags(feedback: Feedback) -> tuple[Ints, ...]:
    rows = np.flatnonzero(feedback.flag >= 0)
    rows = rows[np.argsort(feedback.flag[rows], kind="stable")]
    columns = ("flag", "time_ms", "settle_ms", "fall_ms", "fall_settle_ms")
    return tuple(getattr(feedback, name)[rows] for name in columns)


def _credit_tasks(
    memory: Memory, rows: Ints, backbone: Backbone, rules: Rules
) -> tuple[Memory, Ints]:
    """Credits of every (event, task); also the events whose label was closed already."""
    kinds = {stream.name: stream.kind for stream in rules.spec.feedback_streams}
    domains = list(rules.spec.domains)
    closed = [np.empty(0, np.int64)]
    for index, task in enumerate(rules.tasks):
        allowed = [-1, *(domains.index(name) for name in task.domains)]
        mine = memory.feedback.stream[rows] == hash_one(task.stream)
        events = rows[mine & np.isin(memory.feedback.domain[rows], allowed)]
        conversion = kinds[task.stream] == "conversion"
        placed, tier = _place(memory, events, task.horizon_ms, conversion, backbone, rules)
        memory = _unplaced(memory, events[placed < 0], index, rules)
        events, tier, placed = events[placed >= 0], tier[placed >= 0], placed[placed >= 0]
        still = _changeable(memory, events, placed, index, rules)
        closed.append(events[~still])
        memory = _add(memory, events[still], placed[still], tier[still], index, rules)
    return memory, np.concatenate(closed)


def _changeable(memory: Memory, events: Ints, samples: Ints, task: int, rules: Rules) -> Bools:
    """Rule 8: late feedback acts only where the label was open or unpublished at the last cut."""
    last = memory.feedback.settle_ms[events] - rules.spec.window.length_ms
    time_ms = sample_times(memory, samples)
    closes = rules.closes(np.full(len(samples), task), time_ms)
    late = memory.feedback.late[events]
    return ~late | (closes > last) | (rules.sealed_at(time_ms) > last)


def sample_times(memory: Memory, samples: Ints) -> Ints:
    """The request time of each sample."""
    offsets = offsets_of(memory.requests.samples)
    return memory.requests.time_ms[np.searchsorted(offsets, samples, side="right") - 1]


def _unplaced(memory: Memory, events: Ints, task: int, rules: Rules) -> Memory:
    rows = Unplaced(events, np.full(len(events), rules.task_ids[task]))
    return replace(memory, unplaced=memory.unplaced.joined(rows))


def _add(
    memory: Memory, events: Ints, samples: Ints, tier: Ints, task: int, rules: Rules
) -> Memory:
    credits = Credits(
        feedback=events,
        task=np.full(len(events), rules.task_ids[task]),
        sample=samples,
        tier=tier,
        withdrawn_ms=np.full(len(events), NEVER, np.int64),
        withdrawn_late=np.zeros(len(events), np.bool_),
    )
    return replace(memory, credits=memory.credits.joined(credits))


def _withdraw(memory: Memory, due: Withdrawals, rules: Rules) -> tuple[Memory, int]:
    """Rule 7: withdraw credits whose labels are open or unpublished; count the others' events."""
    credits = memory.credits
    cut, acts_from = due.cut[credits.feedback], due.acts_from_ms[credits.feedback]
    now = (cut != NEVER) & (cut > memory.last_cut) & (credits.withdrawn_ms == NEVER)
    last = cut - rules.spec.window.length_ms
    time_ms = sample_times(memory, credits.sample)
    closes = rules.closes(rules.task_index(credits.task), time_ms)
    may = (closes > np.maximum(acts_from, last)) | (rules.sealed_at(time_ms) >= cut)
    withdrawn = replace(
        credits,
        withdrawn_ms=np.where(now & may, cut, credits.withdrawn_ms),
        withdrawn_late=np.where(now & may, due.late[credits.feedback], credits.withdrawn_late),
    )
    refused = len(np.unique(credits.feedback[now & ~may]))
    return replace(memory, credits=withdrawn), refused


def count_unplaced(memory: Memory, cut: int, rules: Rules, outputs: Outputs) -> Memory:
    """Rule 4: count each (event, task) that no sample received, once, when its time has come."""
    rows, window = memory.unplaced, rules.spec.window
    time_ms = memory.feedback.time_ms[rows.feedback]
    due = np.maximum(
        rules.cut_at_or_after(time_ms + window.length_ms + window.maturity_ms),
        memory.feedback.settle_ms[rows.feedback],
    )
    now = due <= cut
    backbone = Backbone.of(memory, rules)
    counted = backbone.events(memory.feedback, rows.feedback[now])
    early = exposed_later(counted, due[now], backbone.requests, backbone.items)
    for task, task_id in zip(rules.tasks, rules.task_ids, strict=True):
        mine = rows.task[now] == task_id
        outputs.counts[f"before_request/{task.name}"] += int((mine & early).sum())
        outputs.counts[f"no_sample/{task.name}"] += int((mine & ~early).sum())
    return replace(memory, unplaced=rows.where(~now))
