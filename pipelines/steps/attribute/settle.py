"""At a cut: which arrived events become settled ones (rules "identity" and 8)."""

from dataclasses import dataclass, replace
from hashlib import sha256

import numpy as np
import pyarrow as pa

from pipelines.arrays import Bools, Ints
from pipelines.steps.attribute.arrive import feedback_keys
from pipelines.steps.attribute.dedupe import survivors
from pipelines.steps.attribute.memory import Memory, Outputs
from pipelines.steps.attribute.rules import Rules
from pipelines.steps.attribute.tables import NEVER, Feedback, Requests, Retractions
from pipelines.steps.datums import avro_digests
from pipelines.steps.key_set import among, repeated
from pipelines.steps.merge_order import merge_order
from pipelines.steps.order import order_by
from pipelines.steps.ragged import mix, runs
from schemas.hashing import hash_strings


@dataclass(frozen=True)
class Settled:
    """The memory with its newly settled feedback, the last `fresh` rows; as read in `events`."""

    memory: Memory
    fresh: int
    events: pa.Table | None


def settle(memory: Memory, cut: int, rules: Rules, outputs: Outputs) -> Settled:
    """Settle what has `t ≤ cut`; duplicates are counted and gone."""
    memory = _settle_requests(memory, cut, rules, outputs)
    settled = _settle_feedback(memory, cut, rules, outputs)
    return replace(settled, memory=_settle_retractions(settled.memory, cut, rules, outputs))


def settling_cuts(time_ms: Ints, last_cut: int, rules: Rules) -> tuple[Ints, Bools]:
    """Each event's settling cut and whether it was read late."""
    late = time_ms <= last_cut
    next_cut = last_cut + rules.spec.window.length_ms
    return np.where(late, next_cut, rules.cut_at_or_after(time_ms)), late


def _settle_requests(memory: Memory, cut: int, rules: Rules, outputs: Outputs) -> Memory:
    requests = memory.requests
    fresh = np.flatnonzero(~requests.settled & (requests.time_ms <= cut))
    key = mix(requests.user, requests.request)
    known = requests.settled & ~requests.pseudo
    alive = survivors(
        (key[known], requests.time_ms[known]),
        (key[fresh], requests.time_ms[fresh], rules.cut_at_or_after(requests.time_ms[fresh])),
        rules.reach_ms,
        lambda rows: _exposure_digests(memory, fresh[rows], rules),
    )
    outputs.counts["duplicate"] += int((~alive).sum())
    outputs.counts["repeated_item"] += int(requests.repeated[fresh[alive]].sum())
    settled = requests.settled.copy()
    settled[fresh] = True
    kept = np.ones(len(requests), np.bool_)
    kept[fresh[~alive]] = False
    return replace(memory, requests=_in_order(replace(requests, settled=settled), kept))


def _in_order(requests: Requests, kept: Bools) -> Requests:
    """The kept requests, native ones first, in (user, time, request id falling) order."""
    rows = np.flatnonzero(kept & ~requests.pseudo)
    user, time_ms = requests.user[rows], requests.time_ms[rows]

    def by_id(tied: Ints) -> Ints:
        ids = requests.request_id.take(pa.array(rows[tied]))
        return order_by([user[tied], time_ms[tied]], ids, descending=True)

    native = rows[merge_order(user, time_ms, by_id)]
    return requests.take(np.append(native, np.flatnonzero(kept & requests.pseudo)))


def _exposure_digests(memory: Memory, rows: Ints, rules: Rules) -> list[bytes]:
    stream = rules.spec.of_kind("exposure")[0].name
    segment, row = memory.requests.segment[rows], memory.requests.row[rows]
    digests = np.empty(len(rows), "S32")
    for one in np.unique(segment):
        here = np.flatnonzero(segment == one)
        events = memory.segments[int(one)].take(pa.array(row[here]))
        digests[here] = avro_digests(events, rules.spec, stream)
    return list(digests)


def _settle_retractions(memory: Memory, cut: int, rules: Rules, outputs: Outputs) -> Memory:
    rows = memory.retractions
    old = rows.settle_ms != NEVER
    fresh = np.flatnonzero(~old & (rows.time_ms <= cut))
    cuts, _ = settling_cuts(rows.time_ms[fresh], memory.last_cut, rules)
    settle_ms = rows.settle_ms.copy()
    settle_ms[fresh] = cuts
    copied = rows.key[fresh][repeated(rows.key[old], rows.key[fresh])]
    dead = _unmatched_at_the_end(memory, settle_ms, np.flatnonzero(among(rows.key, copied)), rules)
    alive = survivors(
        (rows.key[old], rows.time_ms[old]),
        (rows.key[fresh], rows.time_ms[fresh], cuts),
        rules.reach_ms,
        lambda tied: _places(rows, fresh[tied]),
        (dead[old], dead[fresh]),
    )
    outputs.counts["duplicate"] += int((~alive).sum())
    _count_late(outputs, rows, fresh[alive], rules)
    kept = np.ones(len(rows), np.bool_)
    kept[fresh[~alive]] = False
    return replace(memory, retractions=replace(rows, settle_ms=settle_ms).where(kept))


def _unmatched_at_the_end(memory: Memory, settle_ms: Ints, which: Ints, rules: Rules) -> Bools:
    """Which of some retractions have met no event by `t_r + M`, if that is a cut: rule 7 buries
    them there, and they reserve no id from then on, though they would still be remembered.
    """
    rows, feedback = memory.retractions, memory.feedback
    end_ms = rows.time_ms + rules.spec.memory_ms
    named = np.flatnonzero(among(feedback.key, rows.key[which]))
    order = named[np.argsort(feedback.key[named], kind="stable")]
    begin = np.searchsorted(feedback.key[order], rows.key[which], side="left")
    stop = np.searchsorted(feedback.key[order], rows.key[which], side="right")
    event, retraction = order[runs(begin, stop - begin)], np.repeat(which, stop - begin)
    cut = np.maximum(feedback.settle_ms[event], settle_ms[retraction])
    time_ms, oldest = feedback.time_ms[event], cut - rules.reach_ms
    met = (cut <= end_ms[retraction]) & (time_ms <= end_ms[retraction]) & (time_ms >= oldest)
    dead = np.zeros(len(rows), np.bool_)
    dead[which] = ~rows.matched[which]
    dead[retraction[met]] = False
    return dead


def _places(rows: Retractions, which: Ints) -> list[bytes]:
    """Copies of a retraction say the same: where they were read decides which one stands."""
    sources = rows.source_id.take(pa.array(which)).to_pylist()
    places = zip(sources, rows.position[which].tolist(), strict=True)
    return [sha256(f"{source}:{position}".encode()).digest() for source, position in places]


def _count_late(outputs: Outputs, rows: Retractions, alive: Ints, rules: Rules) -> None:
    for stream in rules.spec.of_kind("retraction"):
        outputs.counts[f"late/{stream.name}"] += int(rows.late[alive].sum())


def _settle_feedback(memory: Memory, cut: int, rules: Rules, outputs: Outputs) -> Settled:
    if memory.arrived is None:
        return Settled(memory, 0, None)
    due = memory.arrived["time_ms"].to_numpy() <= cut
    events = memory.arrived.filter(pa.array(due))
    waiting = memory.arrived.filter(pa.array(~due)) if not due.all() else None
    memory = replace(memory, arrived=waiting)
    if not events.num_rows:
        return Settled(memory, 0, None)
    time_ms, key = events["time_ms"].to_numpy(), feedback_keys(events)
    cuts, late = settling_cuts(time_ms, memory.last_cut, rules)
    alive = survivors(
        (memory.feedback.key, memory.feedback.time_ms),
        (key, time_ms, cuts),
        rules.reach_ms,
        lambda rows: _feedback_digests(events, rows, rules),
    )
    outputs.counts["duplicate"] += int((~alive).sum())
    kept = pa.array(alive)
    events = events.filter(kept).combine_chunks()
    fresh = _columns(events, key[alive], cuts[alive], late[alive], rules)
    _count_late_feedback(outputs, events.filter(pa.array(late[alive])))
    joined = replace(memory, feedback=memory.feedback.joined(fresh))
    return Settled(joined, len(fresh), events)


def _count_late_feedback(outputs: Outputs, late: pa.Table) -> None:
    for entry in late["_stream"].value_counts().to_pylist():
        outputs.counts[f"late/{entry['values']}"] += entry["counts"]


def _feedback_digests(events: pa.Table, rows: Ints, rules: Rules) -> list[bytes]:
    tied = events.take(pa.array(rows))
    stream = rules.spec.feedback_streams[0].name
    return avro_digests(tied, rules.spec, stream)


def _columns(events: pa.Table, key: Ints, settle_ms: Ints, late: Bools, rules: Rules) -> Feedback:
    rows = len(key)
    named = events["request_id"].is_valid().to_numpy()
    placed = events["scenario"].is_valid().to_numpy()
    domain = np.full(rows, -1, np.int64)
    domain[placed] = rules.domain_of(hash_strings(events["scenario"])[placed])
    value = events["value"].fill_null(0.0).to_numpy()
    return Feedback(
        key=key,
        user=hash_strings(events["user_id"]),
        stream=hash_strings(events["_stream"]),
        item=hash_strings(events["item_id"]),
        time_ms=events["time_ms"].to_numpy(),
        request=hash_strings(events["request_id"]),
        named=named,
        domain=domain,
        value=value,
        settle_ms=settle_ms,
        late=late,
        flag=np.full(rows, -1, np.int64),
        fall_ms=np.full(rows, NEVER, np.int64),
        fall_settle_ms=np.full(rows, NEVER, np.int64),
        reached=np.zeros(rows, np.bool_),
        positive=np.full(rows, -1, np.int64),
        event_id=events["event_id"].cast(pa.string()).combine_chunks(),
    )
