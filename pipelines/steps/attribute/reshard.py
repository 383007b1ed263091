"""The state of step 1 dealt out anew: the users of one shard, out of all shards that there were."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pyarrow as pa

from pipelines.arrays import Ints
from pipelines.steps.attribute.memory import Memory
from pipelines.steps.attribute.settle import with_requests
from pipelines.steps.attribute.tables import Pairs
from pipelines.steps.ragged import inverse, moved, offsets_of, runs
from pipelines.steps.step import NO_CUT, Tables
from schemas.hashing import hash_strings, shard_of

_SEGMENT = 1
"""The one segment into which all that is needed of the old ones goes."""


def resharded(states: Iterable[Tables], shard: int, shards: int) -> Tables:
    """The state of one shard of `shards`, from the states of all old ones."""
    whole = Memory.of({})
    for state in states:
        whole = _joined(whole, _of_users(Memory.of(state), shard, shards))
    return whole.tables()


def _of_users(memory: Memory, shard: int, shards: int) -> Memory:
    """What a memory holds of the users of one shard, its exposures in one segment."""
    requests = np.flatnonzero(shard_of(memory.requests.user, shards) == shard)
    memory = _kept_feedback(with_requests(memory, requests), shard, shards)
    users = shard_of(hash_strings(memory.retractions.user_id), shards)
    memory = replace(memory, retractions=memory.retractions.where(users == shard))
    if memory.arrived is not None:
        owner = shard_of(hash_strings(memory.arrived["user_id"]), shards)
        memory = replace(memory, arrived=memory.arrived.filter(pa.array(owner == shard)))
    return _in_one_segment(memory)


def _kept_feedback(memory: Memory, shard: int, shards: int) -> Memory:
    """Feedback of the shard's users; what refers to other feedback goes."""
    feedback = memory.feedback
    kept = np.flatnonzero(shard_of(feedback.user, shards) == shard)
    places = inverse(kept, len(feedback))
    credits = memory.credits.where(places[memory.credits.feedback] >= 0)
    return replace(
        memory,
        feedback=feedback.take(kept),
        credits=replace(credits, feedback=moved(credits.feedback, places)),
        unplaced=_kept_pairs(memory.unplaced, places),
        waiting=_kept_pairs(memory.waiting, places),
    )


def _kept_pairs(pairs: Pairs, places: Ints) -> Pairs:
    pairs = pairs.where(places[pairs.feedback] >= 0)
    return replace(pairs, feedback=moved(pairs.feedback, places))


def _in_one_segment(memory: Memory) -> Memory:
    """Only the exposures that a request still points at, all in one table."""
    requests, samples = memory.requests, memory.samples
    starts = offsets_of(requests.samples)[:-1]
    segment, row, child = requests.segment.copy(), requests.row.copy(), samples.child.copy()
    tables: list[pa.Table] = []
    for name, table in memory.segments.items():
        mine = np.flatnonzero(requests.segment == name)
        if not len(mine):
            continue
        rows, place = np.unique(requests.row[mine], return_inverse=True)
        before = offsets_of(_candidates(table))
        part = table.take(pa.array(rows)).combine_chunks()
        base = sum(one.num_rows for one in tables)
        first = sum(int(_candidates(one).sum()) for one in tables) + offsets_of(_candidates(part))
        own = runs(starts[mine], requests.samples[mine])
        shift = np.repeat(first[place] - before[rows[place]], requests.samples[mine])
        child[own] = samples.child[own] + shift
        segment[mine], row[mine] = _SEGMENT, base + place
        tables.append(part)
    gone = ~np.isin(requests.segment, np.array(list(memory.segments), np.int64))
    segment[gone] = 0
    return replace(
        memory,
        requests=replace(requests, segment=segment, row=row),
        samples=replace(samples, child=child),
        segments={_SEGMENT: pa.concat_tables(tables).combine_chunks()} if tables else {},
    )


def _candidates(events: pa.Table) -> Ints:
    """How many candidates each exposure has."""
    counts = pa.compute.list_value_length(events["candidates"]).to_numpy()
    return np.asarray(counts, np.int64)


def _joined(left: Memory, right: Memory) -> Memory:
    """Two memories of one segment each, of users of one shard."""
    samples, feedback = len(left.samples), len(left.feedback)
    here, there = left.segments.get(_SEGMENT), right.segments.get(_SEGMENT)
    rows = 0 if here is None else here.num_rows
    children = 0 if here is None else int(_candidates(here).sum())
    held = right.requests.segment == _SEGMENT
    held_samples = np.repeat(held, right.requests.samples)
    requests = replace(right.requests, row=right.requests.row + rows * held)
    after = replace(right.samples, child=right.samples.child + children * held_samples)
    moved_feedback = replace(
        right.feedback,
        flag=_after(right.feedback.flag, samples),
        positive=_after(right.feedback.positive, samples),
    )
    credits = replace(
        right.credits,
        sample=right.credits.sample + samples,
        feedback=right.credits.feedback + feedback,
    )
    parts = [table for table in (here, there) if table is not None]
    arrived = [table for table in (left.arrived, right.arrived) if table is not None]
    return Memory(
        last_cut=max(left.last_cut, right.last_cut, NO_CUT),
        epoch=_SEGMENT,
        requests=left.requests.joined(requests),
        samples=left.samples.joined(after),
        feedback=left.feedback.joined(moved_feedback),
        credits=left.credits.joined(credits),
        unplaced=left.unplaced.joined(_behind(right.unplaced, feedback)),
        waiting=left.waiting.joined(_behind(right.waiting, feedback)),
        retractions=left.retractions.joined(right.retractions),
        since=right.since if len(right.since) else left.since,
        arrived=pa.concat_tables(arrived).combine_chunks() if arrived else None,
        segments={_SEGMENT: pa.concat_tables(parts).combine_chunks()} if parts else {},
    )


def _after(references: Ints, count: int) -> Ints:
    """References behind so many rows; -1 stays -1."""
    return np.where(references < 0, references, references + count)


def _behind(pairs: Pairs, count: int) -> Pairs:
    return replace(pairs, feedback=pairs.feedback + count)
