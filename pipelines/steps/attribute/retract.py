"""Rules 7 and 8: retractions and their events, and which labels may still change."""

from dataclasses import dataclass, replace

import numpy as np

from pipelines.arrays import Bools, Ints
from pipelines.steps.attribute.memory import Memory
from pipelines.steps.attribute.rules import Rules
from pipelines.steps.attribute.tables import NEVER
from pipelines.steps.key_set import among
from pipelines.steps.ragged import runs


@dataclass(frozen=True)
class Withdrawals:
    """Per feedback row: the cut at which its retraction acts, from when, and if it came late."""

    cut: Ints
    acts_from_ms: Ints
    late: Bools


def match_retractions(memory: Memory, rules: Rules) -> tuple[Memory, Withdrawals]:
    """Pair retractions with their events; each pair acts once, at the later's cut."""
    feedback, retractions = memory.feedback, memory.retractions
    settled = np.flatnonzero(retractions.settle_ms != NEVER)
    named = np.flatnonzero(among(feedback.key, retractions.key[settled]))
    order = named[np.argsort(feedback.key[named], kind="stable")]
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
    """Both are remembered, and the retraction waits for its event or has met one before."""
    feedback, retractions = memory.feedback, memory.retractions
    memory_ms = rules.spec.memory_ms
    time_e, time_r = feedback.time_ms[event], retractions.time_ms[retraction]
    oldest = cut - rules.reach_ms
    meet = (time_e >= oldest) & (time_r >= oldest) & (time_e <= time_r + memory_ms)
    waiting = (retractions.settle_ms[retraction] == cut) | (time_r > oldest)
    met_at = np.where(retractions.matched, -NEVER, NEVER)
    np.minimum.at(met_at, retraction[meet & waiting], cut[meet & waiting])
    return meet & (waiting | (met_at[retraction] < cut)) & (cut > memory.last_cut)


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


def withdraw(memory: Memory, due: Withdrawals, rules: Rules) -> tuple[Memory, int]:
    """Withdraw credits whose labels are open or unpublished; count the others' events."""
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


def sample_times(memory: Memory, samples: Ints) -> Ints:
    """The request time of each sample."""
    return memory.samples.time_ms[samples]


def changeable(memory: Memory, events: Ints, samples: Ints, task: int, rules: Rules) -> Bools:
    """Rule 8: late feedback acts only where the label was open or unpublished at the last cut."""
    last = memory.feedback.settle_ms[events] - rules.spec.window.length_ms
    time_ms = sample_times(memory, samples)
    closes = rules.closes(np.full(len(samples), task), time_ms)
    late = memory.feedback.late[events]
    return ~late | (closes > last) | (rules.sealed_at(time_ms) > last)
