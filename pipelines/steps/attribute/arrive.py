"""Taking in what was read: keys for the memory, late events refused (rule 8)."""

from dataclasses import replace

import numpy as np
import pyarrow as pa

from pipelines.arrays import Bools, Ints
from pipelines.steps.attribute.keep import keep
from pipelines.steps.attribute.memory import Memory, Outputs
from pipelines.steps.attribute.refuse import refused
from pipelines.steps.attribute.rules import Rules
from pipelines.steps.attribute.tables import NEVER, Feedback, Requests, Retractions, Samples
from pipelines.steps.ragged import mix, offsets_of
from pipelines.steps.step import Tables
from schemas.hashing import hash_strings


def arrive(memory: Memory, events: Tables, rules: Rules, outputs: Outputs) -> Memory:
    """The memory with the events of one epoch in it, or refused as late."""
    memory = replace(memory, epoch=memory.epoch + 1)
    if exposures := _rows(events, "exposure"):
        memory = _exposures(memory, exposures, rules, outputs)
    if feedback := _rows(events, "feedback"):
        memory = _feedback(memory, feedback, rules, outputs)
    if retractions := _rows(events, "retraction"):
        memory = _retractions(memory, retractions, rules, outputs)
    return memory


def _rows(events: Tables, name: str) -> pa.Table | None:
    table = events.get(name)
    return table if table is not None and table.num_rows else None


def _exposures(memory: Memory, events: pa.Table, rules: Rules, outputs: Outputs) -> Memory:
    time_ms = events["time_ms"].to_numpy()
    late = time_ms <= memory.last_cut
    if late.any():
        old = memory.requests.where(
            memory.requests.settled
            & ~memory.requests.pseudo
            & (memory.requests.time_ms >= memory.last_cut - rules.spec.memory_ms)
        )
        known = np.isin(_request_keys(events), mix(old.user, old.request))
        _refuse_late(events, late, known, outputs)
        events = events.filter(pa.array(~late))
    return _remember(memory, events.combine_chunks(), rules) if events.num_rows else memory


def _refuse_late(events: pa.Table, late: Bools, known: Bools, outputs: Outputs) -> None:
    outputs.counts["duplicate"] += int((late & known).sum())
    outputs.dead_letters.append(refused(events.filter(pa.array(late & ~known)), "late"))


def _request_keys(events: pa.Table) -> Ints:
    return mix(hash_strings(events["user_id"]), hash_strings(events["request_id"]))


def _remember(memory: Memory, events: pa.Table, rules: Rules) -> Memory:
    candidates = events["candidates"].combine_chunks()
    children, base = candidates.flatten(), candidates.offsets[0].as_py()
    offsets = candidates.offsets.to_numpy().astype(np.int64) - base
    kept = keep(events, offsets, children, rules)
    rows = events.num_rows
    requests = Requests(
        user=hash_strings(events["user_id"]),
        request=hash_strings(events["request_id"]),
        time_ms=events["time_ms"].to_numpy(),
        scenario=hash_strings(events["scenario"]),
        first=len(memory.samples) + offsets_of(kept.counts)[:-1],
        samples=kept.counts,
        repeated=kept.repeats,
        segment=np.full(rows, memory.epoch, np.int64),
        row=np.arange(rows, dtype=np.int64),
        settled=np.zeros(rows, np.bool_),
        pseudo=np.zeros(rows, np.bool_),
        user_id=_text(events, "user_id"),
        request_id=_text(events, "request_id"),
        source_id=pa.repeat("", rows),
    )
    samples = Samples(
        time_ms=np.repeat(requests.time_ms, kept.counts),
        item=kept.item,
        child=kept.rows,
        exposed=kept.exposed,
        probability=kept.probability,
        item_id=children.field("item_id").take(pa.array(kept.rows)).cast(pa.string()),
    )
    return replace(
        memory,
        requests=memory.requests.joined(requests),
        samples=memory.samples.joined(samples),
        segments={**memory.segments, memory.epoch: events},
    )


def _text(events: pa.Table, name: str) -> pa.StringArray:
    return events[name].cast(pa.string()).combine_chunks()


def feedback_keys(events: pa.Table, stream: str = "_stream") -> Ints:
    """The identity of feedback, and what a retraction names: user, stream, event id."""
    return mix(*(hash_strings(events[name]) for name in ("user_id", stream, "event_id")))


def _feedback(memory: Memory, events: pa.Table, rules: Rules, outputs: Outputs) -> Memory:
    oldest = memory.last_cut - rules.spec.memory_ms
    forgotten = events["time_ms"].to_numpy() < oldest
    if forgotten.any():
        old: Feedback = memory.feedback.where(memory.feedback.time_ms >= oldest)
        _refuse_late(events, forgotten, np.isin(feedback_keys(events), old.key), outputs)
        events = events.filter(pa.array(~forgotten))
    parts = [events] if memory.arrived is None else [memory.arrived, events]
    return replace(memory, arrived=pa.concat_tables(parts).combine_chunks())


def _retractions(memory: Memory, events: pa.Table, rules: Rules, outputs: Outputs) -> Memory:
    oldest = memory.last_cut - rules.spec.memory_ms
    time_ms, key = events["time_ms"].to_numpy(), feedback_keys(events, "stream")
    forgotten = time_ms < oldest
    if forgotten.any():
        old = memory.retractions
        known = np.isin(key, old.key[(old.settle_ms != NEVER) & (old.time_ms >= oldest)])
        _refuse_late(events, forgotten, known, outputs)
        kept = pa.array(~forgotten)
        events, key, time_ms = events.filter(kept), key[~forgotten], time_ms[~forgotten]
    rows = len(key)
    arrived = Retractions(
        key=key,
        time_ms=time_ms,
        settle_ms=np.full(rows, NEVER, np.int64),
        late=time_ms <= memory.last_cut,
        matched=np.zeros(rows, np.bool_),
        position=events["_position"].to_numpy(),
        source_id=_text(events, "_source"),
        stream_id=_text(events, "stream"),
        event_id=_text(events, "event_id"),
        user_id=_text(events, "user_id"),
    )
    return replace(memory, retractions=memory.retractions.joined(arrived))
