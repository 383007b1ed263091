"""What a cut lets go: closed labels, old ids, sealed payloads, retractions without an event."""

from dataclasses import replace

import numpy as np
import pyarrow as pa

from pipelines.arrays import Bools, Ints
from pipelines.steps.attribute.compact import compacted
from pipelines.steps.attribute.memory import Memory, Outputs
from pipelines.steps.attribute.refuse import refused
from pipelines.steps.attribute.retract import sample_times
from pipelines.steps.attribute.rules import Rules
from pipelines.steps.attribute.tables import NEVER
from pipelines.steps.ragged import inverse, moved


def forget(memory: Memory, cut: int, rules: Rules, outputs: Outputs) -> Memory:
    """The memory that later cuts can still need, after everything up to `cut` is evaluated."""
    memory = _forget_retractions(memory, cut, rules, outputs)
    memory = _forget_credits(memory, cut, rules)
    memory = _forget_requests(memory, cut, rules)
    memory = _forget_feedback(memory, cut, rules)
    return replace(memory, last_cut=cut, segments=_needed_segments(memory, cut, rules))


def _forget_retractions(memory: Memory, cut: int, rules: Rules, outputs: Outputs) -> Memory:
    """Rule 7: without its event, a retraction is `unmatched` once `t_r + M ≤` last cut."""
    rows = memory.retractions
    settled = rows.settle_ms != NEVER
    expired = settled & (rows.time_ms + rules.spec.memory_ms <= cut)
    if (expired & ~rows.matched).any():
        outputs.dead_letters.append(_unmatched(memory, expired & ~rows.matched, rules))
    remembered = ~settled | (rows.matched & (rows.time_ms >= cut - rules.spec.memory_ms)) | ~expired
    return replace(memory, retractions=rows.where(remembered))


def _unmatched(memory: Memory, which: Bools, rules: Rules) -> pa.Table:
    rows = memory.retractions.where(which)
    stream = rules.spec.of_kind("retraction")[0].name
    events = pa.table(
        {
            "stream": rows.stream_id,
            "event_id": rows.event_id,
            "user_id": rows.user_id,
            "time_ms": pa.array(rows.time_ms),
            "_stream": pa.array([stream] * len(rows), pa.string()),
            "_source": rows.source_id,
            "_position": pa.array(rows.position),
        }
    )
    return refused(events, "unmatched")


def _forget_credits(memory: Memory, cut: int, rules: Rules) -> Memory:
    """Closed, published labels never change: their credits go when their events do."""
    credits = memory.credits
    time_ms = sample_times(memory, credits.sample)
    closes = rules.closes(rules.task_index(credits.task), time_ms)
    changeable = (closes > cut) | (rules.sealed_at(time_ms) > cut)
    oldest = cut - rules.spec.memory_ms
    remembered = memory.feedback.time_ms[credits.feedback] >= oldest
    return replace(memory, credits=credits.where(changeable | remembered))


def _forget_requests(memory: Memory, cut: int, rules: Rules) -> Memory:
    """Requests go when sealed and out of reach of the oldest feedback that may still come."""
    requests, feedback = memory.requests, memory.feedback
    needed = ~requests.settled | _is_needed(requests.time_ms, cut, rules)
    if needed.all():
        return memory
    known = replace(
        feedback,
        flag=_known(feedback.flag, memory, cut, rules),
        positive=_known(feedback.positive, memory, cut, rules),
    )
    return compacted(replace(memory, requests=requests.where(needed), feedback=known))


def _is_needed(time_ms: Ints, cut: int, rules: Rules) -> Bools:
    """Whether settled requests of these times can still be named or are not sealed."""
    oldest = cut - rules.spec.memory_ms - rules.spec.longest_horizon_ms
    return (time_ms >= oldest) | (rules.sealed_at(time_ms) > cut)


def _known(samples: Ints, memory: Memory, cut: int, rules: Rules) -> Ints:
    """References to samples; -1 to those of requests that are forgotten."""
    named = np.flatnonzero(samples >= 0)
    gone = ~_is_needed(memory.samples.time_ms[samples[named]], cut, rules)
    known = samples.copy()
    known[named[gone]] = -1
    return known


def _forget_feedback(memory: Memory, cut: int, rules: Rules) -> Memory:
    feedback = memory.feedback
    needed = feedback.time_ms >= cut - rules.spec.memory_ms
    needed[memory.credits.feedback] = True
    needed[memory.unplaced.feedback] = True
    needed[memory.waiting.feedback] = True
    if rules.searchifies:
        needed |= (feedback.positive >= 0) | _on_open_windows(memory, cut, rules)
    if needed.all():
        return memory
    kept = np.flatnonzero(needed)
    places = inverse(kept, len(feedback))
    return replace(
        memory,
        feedback=feedback.take(kept),
        credits=replace(memory.credits, feedback=moved(memory.credits.feedback, places)),
        unplaced=replace(memory.unplaced, feedback=moved(memory.unplaced.feedback, places)),
        waiting=replace(memory.waiting, feedback=moved(memory.waiting.feedback, places)),
    )


def _on_open_windows(memory: Memory, cut: int, rules: Rules) -> Bools:
    """Clicks on samples of windows that are not sealed: rule 10 has not judged them yet."""
    flag = memory.feedback.flag
    waits = flag >= 0
    waits[waits] = rules.sealed_at(sample_times(memory, flag[waits])) > cut
    return waits


def _needed_segments(memory: Memory, cut: int, rules: Rules) -> dict[int, pa.Table]:
    """Segments that hold a request whose window is not sealed."""
    rows = memory.requests
    waiting: Ints = rows.segment[~rows.settled | (rules.sealed_at(rows.time_ms) > cut)]
    return {int(one): memory.segments[int(one)] for one in np.unique(waiting)}
