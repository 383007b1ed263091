"""Rule 10: foreign clicks that credit no sample of the target become its requests."""

from binascii import hexlify
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from pipelines.arrays import Bools, Ints
from pipelines.steps.attribute.memory import Memory, Outputs
from pipelines.steps.attribute.retract import sample_times
from pipelines.steps.attribute.rules import Rules
from pipelines.steps.attribute.tables import NEVER, Credits, Feedback, Pairs, Samples
from pipelines.steps.order import order_by
from schemas.hashing import hash_one, hash_strings
from schemas.labels import TIER_CODES


@dataclass(frozen=True)
class Made:
    """The memory with new pseudo-requests, its last ones; whence each came.

    `source` is the row of the source request, `sample` that of the clicked item in it; `clicked`
    tells of every native sample whether a click stands on it at its window's cut.
    """

    memory: Memory
    source: Ints
    sample: Ints
    clicked: Bools


def searchify(memory: Memory, fresh: int, cut: int, rules: Rules, outputs: Outputs) -> Made:
    """One pseudo-request for each source request and item, from its earliest standing click.

    Judged are the clicks on windows sealed now; of the last `fresh` rows of feedback those that
    have no source or come after its cut are counted.
    """
    nothing = np.empty(0, np.int64)
    if not rules.searchifies:
        return Made(memory, nothing, nothing, np.empty(0, np.bool_))
    judged = _Judged.of(memory, rules)
    now = (judged.sealed_at > memory.last_cut) & (judged.sealed_at <= cut)
    due = judged.foreign & judged.in_time & now
    standing = np.flatnonzero(due & ~judged.fallen)
    first = _first_of_samples(memory.feedback, standing, rules)
    new = judged.foreign & (np.arange(len(due)) >= len(due) - fresh)
    counts = {
        "unlinked": int((new & ~judged.linked).sum()),
        "after_cut": int((new & judged.linked & ~judged.in_time).sum()),
        "retracted": int((due & judged.fallen).sum()),
        "repeat": len(standing) - len(first),
        "made": len(first),
    }
    outputs.counts.update({f"searchify/{name}": count for name, count in counts.items()})
    return _make(memory, first, judged.clicked(memory, rules), rules)


@dataclass(frozen=True)
class _Judged:
    """All feedback with the sample that it flags, as things stand when its window is sealed.

    `foreign`: a click of another domain that rule 3 found no sample for. `linked`: it flags a
    sample, whose window is sealed at `sealed_at`; `in_time`: it was settled by then; `fallen`:
    and retracted.
    """

    foreign: Bools
    linked: Bools
    sealed_at: Ints
    in_time: Bools
    fallen: Bools

    @classmethod
    def of(cls, memory: Memory, rules: Rules) -> "_Judged":
        feedback = memory.feedback
        sealed_at, linked = _sealed_at(memory, rules), feedback.flag >= 0
        return cls(
            foreign=_foreign_clicks(feedback, rules),
            linked=linked,
            sealed_at=sealed_at,
            in_time=linked & (feedback.settle_ms <= sealed_at),
            fallen=(feedback.fall_ms <= sealed_at) & (feedback.fall_settle_ms <= sealed_at),
        )

    def clicked(self, memory: Memory, rules: Rules) -> Bools:
        """Whether a click stands on each sample; flags older than the memory do not."""
        remembered = memory.feedback.time_ms >= self.sealed_at - rules.reach_ms
        clicked = np.zeros(len(memory.samples), np.bool_)
        clicked[memory.feedback.flag[self.in_time & ~self.fallen & remembered]] = True
        return clicked


def _sealed_at(memory: Memory, rules: Rules) -> Ints:
    """The cut of the window of each click's flagged sample; `NEVER` without one."""
    flag = memory.feedback.flag
    sealed_at = np.full(len(flag), NEVER, np.int64)
    linked = flag >= 0
    sealed_at[linked] = rules.sealed_at(sample_times(memory, flag[linked]))
    return sealed_at


def _click_streams(rules: Rules) -> Ints:
    """The hashes of click streams with a task, in order of their names."""
    named = [
        s.name
        for s in rules.spec.of_kind("click")
        if rules.spec.stream_horizon_ms(s.name) is not None
    ]
    return np.array([hash_one(name) for name in sorted(named)], np.int64)


def _foreign_clicks(feedback: Feedback, rules: Rules) -> Bools:
    """Clicks of other domains that rule 3 found no sample for."""
    mine = np.isin(feedback.stream, _click_streams(rules))
    foreign = (feedback.domain >= 0) & (feedback.domain != rules.target)
    return mine & foreign & ~feedback.reached


def _first_of_samples(feedback: Feedback, clicks: Ints, rules: Rules) -> Ints:
    """Of the clicks on one sample the earliest: by time, stream name and event id."""
    streams = _click_streams(rules)
    ranked = np.argsort(streams)
    name = ranked[np.searchsorted(streams[ranked], feedback.stream[clicks])]
    columns = [feedback.flag[clicks], feedback.time_ms[clicks], name]
    clicks = clicks[order_by(columns, feedback.event_id.take(pa.array(clicks)))]
    return clicks[np.unique(feedback.flag[clicks], return_index=True)[1]]


def _make(memory: Memory, clicks: Ints, clicked: Bools, rules: Rules) -> Made:
    """Append a request with one sample for each click, and credit it with the click."""
    rows, samples = memory.requests, memory.samples
    sample = memory.feedback.flag[clicks]
    source = memory.request_of(sample)
    positive = len(samples) + np.arange(len(clicks))
    request_id = pseudo_id(rows.request_id.take(pa.array(source)), samples.item_id, sample)
    origin = rows.take(source)
    requests = replace(
        origin,
        request=hash_strings(request_id),
        first=positive,
        samples=np.ones(len(source), np.int64),
        repeated=np.zeros(len(source), np.int64),
        pseudo=np.ones(len(source), np.bool_),
        request_id=request_id,
        source_id=origin.request_id,
    )
    feedback = memory.feedback
    made = feedback.positive.copy()
    made[clicks] = positive
    memory = replace(
        memory,
        requests=rows.joined(requests),
        samples=samples.joined(_positives(samples, sample)),
        feedback=replace(feedback, positive=made),
    )
    return Made(_credit_clicks(memory, clicks, positive, rules), source, sample, clicked)


def _positives(samples: Samples, rows: Ints) -> Samples:
    return replace(samples.take(rows), probability=np.ones(len(rows)))


def pseudo_id(source_id: pa.StringArray, item_id: pa.StringArray, sample: Ints) -> pa.StringArray:
    """16 hexadecimal digits of the hash of (source request id, item id, `searchified`)."""
    item = item_id.take(pa.array(sample))
    hashed = hash_strings(source_id, item, pa.repeat("searchified", len(item)))
    digits = pa.py_buffer(hexlify(hashed.astype(">i8").tobytes()))
    offsets = pa.py_buffer(np.arange(0, 16 * len(item) + 1, 16, dtype=np.int32))
    return pa.StringArray.from_buffers(len(item), offsets, digits)


def _credit_clicks(memory: Memory, clicks: Ints, positive: Ints, rules: Rules) -> Memory:
    """Rule 10's labels: the click on its positive, for each task for which rule 1 holds."""
    feedback = memory.feedback
    age_ms = feedback.time_ms[clicks] - sample_times(memory, positive)
    for index, task in enumerate(rules.tasks):
        if not rules.names_target(task):
            continue
        mine = (feedback.stream[clicks] == hash_one(task.stream)) & (age_ms <= task.horizon_ms)
        memory = with_fourth_tier(memory, clicks[mine], positive[mine], index, rules)
    return memory


def with_fourth_tier(
    memory: Memory, events: Ints, positive: Ints, task: int, rules: Rules
) -> Memory:
    """Credit positives with events of one task: these are received by a sample now.

    A retraction that was known before the last cut has withdrawn the credit already.
    """
    fall = memory.feedback.fall_settle_ms[events]
    credits = Credits(
        feedback=events,
        task=np.full(len(events), rules.task_ids[task]),
        sample=positive,
        tier=np.full(len(events), TIER_CODES["searchified"]),
        withdrawn_ms=np.where(fall <= memory.last_cut, fall, NEVER),
        withdrawn_late=np.zeros(len(events), np.bool_),
    )
    unplaced = without(memory.unplaced, events, task, rules)
    return replace(memory, credits=memory.credits.joined(credits), unplaced=unplaced)


def without(pairs: Pairs, events: Ints, task: int, rules: Rules) -> Pairs:
    """The pairs that are not of these events and this task."""
    return pairs.where((pairs.task != rules.task_ids[task]) | ~np.isin(pairs.feedback, events))
