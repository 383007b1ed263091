"""Rule 10's fourth tier: conversions that no native sample of the target received."""

from dataclasses import replace

import numpy as np
import pyarrow as pa

from pipelines.arrays import Ints
from pipelines.steps.attribute.kernels import latest_positive
from pipelines.steps.attribute.memory import Memory
from pipelines.steps.attribute.retract import changeable, sample_times
from pipelines.steps.attribute.rules import Rules
from pipelines.steps.attribute.searchify import with_fourth_tier, without
from pipelines.steps.order import order_by
from pipelines.steps.ragged import mix


def credit_positives(memory: Memory, cut: int, rules: Rules) -> tuple[Memory, Ints]:
    """Credit waiting conversions to positives; also the events whose label was closed.

    A conversion waits until the window of its own time is sealed: no later one holds a positive
    that it could go to.
    """
    closed = [np.empty(0, np.int64)]
    positives = _positives(memory, rules)
    for index, task in enumerate(rules.tasks):
        if not rules.has_fourth_tier(task):
            continue
        events = memory.waiting.feedback[memory.waiting.task == rules.task_ids[index]]
        sample = _place(memory, events, task.horizon_ms, positives)
        placed, found = events[sample >= 0], sample[sample >= 0]
        still = changeable(memory, placed, found, index, rules)
        closed.append(placed[~still])
        unplaced = without(memory.unplaced, placed, index, rules)
        waiting = without(memory.waiting, placed, index, rules)
        memory = replace(memory, unplaced=unplaced, waiting=waiting)
        memory = with_fourth_tier(memory, placed[still], found[still], index, rules)
    return _no_longer_waiting(memory, cut, rules), np.concatenate(closed)


def _positives(memory: Memory, rules: Rules) -> tuple[Ints, ...]:
    """Positives by (user and item, time falling, id), as the kernel wants them."""
    feedback = memory.feedback
    clicks = np.flatnonzero(feedback.positive >= 0)
    sample = feedback.positive[clicks]
    time_ms = sample_times(memory, sample)
    key = mix(feedback.user[clicks], feedback.item[clicks])
    order = order_by([key, -time_ms], _request_ids(memory, sample))
    click, sample, time_ms = clicks[order], sample[order], time_ms[order]
    return (
        key[order],
        sample,
        time_ms,
        rules.sealed_at(time_ms),
        feedback.time_ms[click],
        feedback.fall_ms[click],
        feedback.fall_settle_ms[click],
    )


def _request_ids(memory: Memory, sample: Ints) -> pa.StringArray:
    return memory.requests.request_id.take(pa.array(memory.request_of(sample)))


def _place(memory: Memory, events: Ints, horizon_ms: int, positives: tuple[Ints, ...]) -> Ints:
    feedback = memory.feedback
    key = mix(feedback.user[events], feedback.item[events])
    time_ms, settle_ms = feedback.time_ms[events], feedback.settle_ms[events]
    return latest_positive((key, time_ms, settle_ms), horizon_ms, positives)


def _no_longer_waiting(memory: Memory, cut: int, rules: Rules) -> Memory:
    time_ms = memory.feedback.time_ms[memory.waiting.feedback]
    return replace(memory, waiting=memory.waiting.where(rules.sealed_at(time_ms) > cut))
