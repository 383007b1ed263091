"""The benchmark's world to window files by one process written for it alone: the bar to reach.

Everything in memory, once: read → validate → deduplicate → credit → labels and revisions →
sequences → records → Avro. No epochs, no state to come back to, no late events, nothing durable,
no counts, no other spec than `speed_world`'s, and copies of one time are taken to be equal. What
it writes has the pipeline's schemas and container, so that both can be compared byte for byte.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks import _by_hand_kernels as kernels
from benchmarks.speed_world import speed_spec
from schemas.hashing import hash_one, hash_strings, shard_of
from schemas.record import revision_avro, revision_schema, user_window_avro
from schemas.spec import Spec
from schemas.windows import window_name
from schemas.windows.avro import encode
from schemas.windows.container import (
    SYNC_BYTES,
    block_cuts,
    compressor,
    encode_block,
    encode_header,
)
from schemas.windows.names import revisions_name, shard_name
from schemas.windows.write import SLICE_RECORDS

Array = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]

TASKS = ("click", "buy")
FEEDBACK = ("buy", "click")
"""In order of their names, as sequences want them."""

ITEM_IDS = ("category", "brand", "seller")
REQUEST_IDS = ("gender", "city", "device")
CODED = ("user_id", "scenario", "query", "item_id", "stream", *ITEM_IDS, *REQUEST_IDS)
ID_LIMIT_BYTES, TEXT_LIMIT_BYTES = 1024, 64 * 1024
YEAR_10000_MS = 253_402_300_800_000


def main(source: Path, windows: Path, shards: int) -> dict[str, float]:
    """Read `source`, write `windows`; returns the CPU seconds that each stage took."""
    spec, clock = speed_spec(), _Clock()
    events = clock("read", lambda: read_events(spec, source))
    requests = clock("requests", lambda: take_requests(events, spec))
    actions = clock("actions", lambda: take_actions(events, spec))
    credits = clock("credit", lambda: credit(requests, actions, spec))
    labels = clock("label", lambda: label(requests, actions, credits, spec))
    records = clock("fold", lambda: fold(requests, actions, events, shards, spec))
    writer = Writer(windows, user_window_avro(spec))
    clock("users", lambda: write_users(records, requests, actions, labels, events, writer))
    late = Writer(windows, revision_avro())
    clock("revisions", lambda: write_revisions(labels, requests, actions, events, records, late))
    (windows / "digests.json").write_text(json.dumps(writer.digests | late.digests))
    return clock.seconds | writer.seconds


@dataclass
class _Clock:
    """Calls stages and keeps the CPU time that each took."""

    seconds: dict[str, float] = field(default_factory=dict)

    def __call__(self, stage: str, call: Callable[[], Any]) -> Any:
        started = time.thread_time()
        result = call()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.thread_time() - started
        return result


@dataclass(frozen=True)
class Words:
    """A column as `codes` into the `values` of its vocabulary, -1 for null."""

    codes: Array
    values: pa.StringArray

    def __getitem__(self, rows: Any) -> Array:
        """The codes of these rows, null as the word after the last."""
        codes = self.codes[rows]
        return np.where(codes < 0, len(self.values), codes)

    def legal(self, limit_bytes: int, least_bytes: int = 0) -> Bools:
        """Which rows hold text of a legal length; null is legal if empty text is."""
        self.values.validate(full=True)
        sizes = pc.binary_length(self.values).to_numpy()
        legal = np.append((sizes >= least_bytes) & (sizes <= limit_bytes), least_bytes == 0)
        return legal[self.codes]


@dataclass(frozen=True)
class Events:
    """What was read: exposures, their candidates, feedback (purchases, then clicks), refunds."""

    shown: pa.Table
    offsets: Ints
    candidates: pa.Table
    feedback: pa.Table
    refunds: pa.Table
    user: tuple[Words, Words, Words]
    item: tuple[Words, Words]
    rank: Ints
    """The place of each user among all, by the bytes of their ids."""

    by_rank: Ints


@dataclass(frozen=True)
class Requests:
    """Usable, distinct requests in (user, time, id) order, and where their samples lie."""

    row: Ints
    user: Ints
    time_ms: Ints
    key: Ints
    place: Ints
    begin: Ints
    end: Ints
    bounds: Ints
    kept: Array
    item: Array


@dataclass(frozen=True)
class Actions:
    """Usable, distinct feedback in (user, time, stream, event id) order."""

    row: Ints
    task: Array
    time_ms: Ints
    item: Array
    place: Array
    request: Ints
    named: Bools
    fall_ms: Ints
    fall_cut: Ints
    bounds: Ints


@dataclass(frozen=True)
class Credits:
    """Which sample of which request each action credits (-1: none), by which tier.

    Chains of actions by task and sample begin at `heads` and go back in time.
    """

    sample: Ints
    request: Ints
    tier: Array
    heads: tuple[Array, Array]
    following: Array


@dataclass(frozen=True)
class Labels:
    """The action that each sample's label shows (-1: none), and the revisions of later cuts."""

    shown: tuple[Array, Array]
    tier: Array
    revisions: Ints
    request_of: Ints


@dataclass(frozen=True)
class Records:
    """One record a user and window: its first request, H and R.

    `order` is (window, shard, user).
    """

    user: Ints
    start_ms: Ints
    first: Ints
    spans: Ints
    shard: Ints
    order: Ints


def read_events(spec: Spec, source: Path) -> Events:
    """All files of all streams; texts that repeat come as codes, one vocabulary a kind."""
    tables = {name: _read(source / name) for name in spec.streams}
    shown, refunds = tables["exposure"], tables["refund"]
    feedback = pa.concat_tables([tables[name] for name in FEEDBACK])
    lists = shown["candidates"].chunks
    candidates = pa.Table.from_struct_array(pa.chunked_array([one.flatten() for one in lists]))
    sizes = np.concatenate([pc.list_value_length(one).fill_null(0) for one in lists])
    users = _together(shown["user_id"], feedback["user_id"], refunds["user_id"])
    by_rank = pc.sort_indices(users[0].values).to_numpy().astype(np.int64)
    rank = np.empty_like(by_rank)
    rank[by_rank] = np.arange(len(rank))
    return Events(
        shown=shown,
        offsets=np.append(0, np.cumsum(sizes, dtype=np.int64)),
        candidates=candidates,
        feedback=feedback,
        refunds=refunds,
        user=users,
        item=_together(candidates["item_id"], feedback["item_id"]),
        rank=rank,
        by_rank=by_rank,
    )


def _read(folder: Path) -> pa.Table:
    nested = [f"candidates.list.element.{name}" for name in ("item_id", *ITEM_IDS)]
    files = sorted(folder.glob("*.parquet"))
    read = [
        pq.read_table(file, read_dictionary=[*CODED, *nested], use_threads=False) for file in files
    ]
    return pa.concat_tables(read)


def _together(*columns: pa.ChunkedArray) -> Any:
    """Columns of one kind over one vocabulary."""
    chunks = [chunk for column in columns for chunk in column.chunks]
    joined = pa.chunked_array(chunks).unify_dictionaries()
    codes = np.concatenate([chunk.indices.fill_null(-1).to_numpy() for chunk in joined.chunks])
    values = joined.chunk(0).dictionary
    ends = list(accumulate((len(column) for column in columns), initial=0))
    return tuple(Words(codes[begin:end], values) for begin, end in pairwise(ends))


def _words(column: pa.ChunkedArray) -> Words:
    return _together(column)[0]


def take_requests(events: Events, spec: Spec) -> Requests:
    """Validate and deduplicate exposures, put them in order, keep what was exposed."""
    shown, candidates, users = events.shown, events.candidates, events.user[0]
    place = _places(shown["scenario"], spec)
    position = candidates["position"].fill_null(-1).to_numpy()
    exposed = candidates["exposed"].fill_null(True).to_numpy()
    item = events.item[0].codes
    kept, begin, bad = kernels.kept_candidates(events.offsets, item, position, exposed)
    usable = ~bad & (place >= 0) & _legal_times(shown) & _legal_text(shown["request_id"])
    usable &= users.legal(ID_LIMIT_BYTES, 1) & _legal_features(events)
    time_ms, key = shown["time_ms"].to_numpy(), hash_strings(shown["request_id"])
    alive, _ = kernels.earliest(_mix(users.codes, key), time_ms, usable)
    rank = events.rank[users.codes]
    order, bounds = _in_order(alive, rank, time_ms, shown["request_id"], len(events.rank))
    return Requests(
        row=order,
        user=rank[order],
        time_ms=time_ms[order],
        key=key[order],
        place=place[order],
        begin=begin[:-1][order],
        end=begin[1:][order],
        bounds=bounds,
        kept=kept,
        item=item[kept],
    )


def _legal_features(events: Events) -> Bools:
    """Whether every text and number of an exposure and of its candidates is legal."""
    legal = np.ones(events.shown.num_rows, np.bool_)
    for name in ("query", *REQUEST_IDS):
        legal &= _words(events.shown[name]).legal(TEXT_LIMIT_BYTES)
    below = [_words(events.candidates[name]).legal(TEXT_LIMIT_BYTES) for name in ITEM_IDS]
    below.append(events.item[0].legal(ID_LIMIT_BYTES, 1))
    below.append(pc.is_finite(events.candidates["price"]).fill_null(True).to_numpy())
    wrong = np.flatnonzero(~np.logical_and.reduce(below))
    legal[np.searchsorted(events.offsets, wrong, side="right") - 1] = False
    return legal


def _legal_times(table: pa.Table) -> Bools:
    latest_ms = min(time.time_ns() // 1_000_000 + speed_spec().time.max_ahead_ms, YEAR_10000_MS)
    time_ms = table["time_ms"].fill_null(-1).to_numpy()
    return (time_ms >= 0) & (time_ms <= latest_ms)


def _legal_text(column: pa.ChunkedArray, least_bytes: int = 1) -> Bools:
    column.validate(full=True)
    sizes = pc.binary_length(column).fill_null(least_bytes - 1).to_numpy()
    return (sizes >= least_bytes) & (sizes <= ID_LIMIT_BYTES)


def _places(column: pa.ChunkedArray, spec: Spec) -> Ints:
    """Each row's scenario by its place in the spec, -1 if it is none of them or null."""
    words = _words(column)
    known = {name: place for place, name in enumerate(spec.scenarios)}
    places = [known.get(name, -1) for name in words.values.to_pylist()]
    return np.array([*places, -1])[words.codes]


def _mix(left: Array, right: Ints) -> Ints:
    """One key of two columns."""
    spread = left.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (spread ^ right.view(np.uint64)) * np.uint64(0xBF58476D1CE4E5B9)
    return (mixed ^ (mixed >> np.uint64(31))).view(np.int64)


def _in_order(
    alive: Bools, user: Ints, time_ms: Ints, text: pa.ChunkedArray, users: int
) -> tuple[Ints, Ints]:
    """The living rows by (user, time, as they stand, text), and where each user begins.

    As they stand: streams one after the other.
    """
    rows = np.flatnonzero(alive)
    if (np.diff(time_ms[rows]) < 0).any():
        rows = rows[np.argsort(time_ms[rows], kind="stable")]
    order, bounds = kernels.by_user(rows, user, users)
    same = (np.diff(user[order]) == 0) & (np.diff(time_ms[order]) == 0)
    tied = np.union1d(np.flatnonzero(same), np.flatnonzero(same) + 1)
    if len(tied):
        ids = pl.Series(text.take(pa.array(order[tied])), dtype=pl.String)
        stream = pl.Series(ids.str.slice(0, 1))
        frame = pl.DataFrame(
            {"u": user[order[tied]], "t": time_ms[order[tied]], "s": stream, "i": ids}
        )
        order[tied] = order[tied][frame.with_row_index("row").sort("u", "t", "s", "i")["row"]]
    return order, bounds


def take_actions(events: Events, spec: Spec) -> Actions:
    """Validate and deduplicate feedback, put it in order, find what was retracted."""
    table, users, items = events.feedback, events.user[1], events.item[1]
    task = np.repeat([1, 0], [len(table) - _clicks(events), _clicks(events)]).astype(np.int8)
    place = _places(table["scenario"], spec)
    time_ms, named = table["time_ms"].to_numpy(), table["request_id"].is_valid().to_numpy()
    usable = _legal_times(table) & users.legal(ID_LIMIT_BYTES, 1) & items.legal(ID_LIMIT_BYTES, 1)
    usable &= (place >= 0) | table["scenario"].is_null().to_numpy()
    usable &= _legal_text(table["event_id"]) & _legal_text(table["request_id"].fill_null("-"))
    usable &= _words(table["category"]).legal(TEXT_LIMIT_BYTES)
    usable &= pc.is_finite(table["value"]).fill_null(True).to_numpy()
    key = _mix(users.codes * 2 + task, hash_strings(table["event_id"]))
    alive, slots = kernels.earliest(key, time_ms, usable)
    rank = events.rank[users.codes]
    order, bounds = _in_order(alive, rank, time_ms, table["event_id"], len(events.rank))
    fall_ms, fall_cut = _falls(events, key, slots, time_ms, spec)
    return Actions(
        row=order,
        task=task[order],
        time_ms=time_ms[order],
        item=items.codes[order],
        place=place[order],
        request=hash_strings(table["request_id"])[order],
        named=named[order],
        fall_ms=fall_ms[order],
        fall_cut=fall_cut[order],
        bounds=bounds,
    )


def _clicks(events: Events) -> int:
    return int(pc.sum(events.feedback["value"].is_null()).as_py())


def _falls(events: Events, key: Ints, slots: Array, time_ms: Ints, spec: Spec) -> tuple[Ints, Ints]:
    """When each action's first retraction acts and at which cut; NEVER without one."""
    table, users = events.refunds, events.user[2]
    stream = _words(table["stream"])
    task = np.array([TASKS.index(name) for name in stream.values.to_pylist()])[stream.codes]
    refund = _mix(users.codes * 2 + task, hash_strings(table["event_id"]))
    refund_ms = table["time_ms"].to_numpy()
    usable = _legal_times(table) & users.legal(ID_LIMIT_BYTES, 1) & _legal_text(table["event_id"])
    alive, _ = kernels.earliest(refund, refund_ms, usable)
    action = kernels.look_up(refund, key, slots)
    met = np.flatnonzero(alive & (action >= 0))
    met = met[time_ms[action[met]] <= refund_ms[met] + spec.memory_ms]
    fall_ms = np.full(len(key), kernels.NEVER)
    fall_cut = np.full(len(key), kernels.NEVER)
    fall_ms[action[met]] = np.maximum(refund_ms[met], time_ms[action[met]])
    fall_cut[action[met]] = _cut_after(fall_ms[action[met]], spec)
    return fall_ms, fall_cut


def _cut_after(time_ms: Ints, spec: Spec) -> Ints:
    length_ms, maturity_ms = spec.window.length_ms, spec.window.maturity_ms
    return -((maturity_ms - time_ms) // length_ms) * length_ms + maturity_ms


def credit(requests: Requests, actions: Actions, spec: Spec) -> Credits:
    """Rules 1 and 2: clicks first, for purchases look at what was clicked."""
    samples, rows = len(requests.kept), len(actions.row)
    heads = (np.full(samples, -1, np.int32), np.full(samples, -1, np.int32))
    nowhere = np.full(rows, -1)
    chains = (heads, nowhere.astype(np.int32), nowhere, nowhere.copy(), np.zeros(rows, np.int8))
    acts = (
        actions.task,
        actions.time_ms,
        actions.item,
        actions.place,
        actions.request,
        actions.named,
        actions.fall_ms,
    )
    shows = (requests.time_ms, requests.key, requests.place, requests.begin, requests.end)
    bounds = (actions.bounds, requests.bounds)
    for task, name in enumerate(TASKS):
        horizon_ms, longest_ms = spec.tasks[name].horizon_ms, spec.longest_horizon_ms
        kernels.credit(task, horizon_ms, longest_ms, bounds, acts, shows, requests.item, chains)
    return Credits(chains[2], chains[3], chains[4], heads, chains[1])


def label(requests: Requests, actions: Actions, credits: Credits, spec: Spec) -> Labels:
    """Rules 4, 5 and 7: what each window shows, and what changes afterwards."""
    request_of, settle = credits.request, _cut_after(actions.time_ms, spec)
    sealed_at = _sealed(requests.time_ms[request_of], spec)
    spans = np.array([_span(spec, name) for name in TASKS])
    closes = requests.time_ms[request_of] + spans[actions.task]
    last = actions.fall_cut - spec.window.length_ms
    acts = (closes > np.maximum(actions.fall_ms, last)) | (sealed_at >= actions.fall_cut)
    withdrawn = np.where(acts, actions.fall_cut, kernels.NEVER)
    placed = credits.sample >= 0
    moves = placed & ((settle > sealed_at) | (withdrawn != kernels.NEVER))
    shown = tuple(head.copy() for head in credits.heads)
    chained = np.flatnonzero(placed & ((credits.following >= 0) | moves))
    pair = credits.sample * 2 + actions.task
    kernels.settle_labels(
        shown,
        pair[chained],
        sealed_at[chained],
        credits.heads,
        credits.following,
        settle,
        withdrawn,
    )
    _, first = np.unique(pair[moves], return_index=True)
    dirty = np.flatnonzero(moves)[first]
    rows = kernels.revise(
        pair[dirty], sealed_at[dirty], credits.heads, credits.following, settle, withdrawn
    )
    return Labels((shown[0], shown[1]), credits.tier, rows, request_of)


def _span(spec: Spec, task: str) -> int:
    return spec.tasks[task].horizon_ms + spec.tasks[task].retraction_horizon_ms


def _sealed(time_ms: Ints, spec: Spec) -> Ints:
    length_ms = spec.window.length_ms
    return time_ms // length_ms * length_ms + length_ms + spec.window.maturity_ms


def fold(requests: Requests, actions: Actions, events: Events, shards: int, spec: Spec) -> Records:
    """Rules 11 and 12: one record for each run of requests of one user and window."""
    length_ms = spec.window.length_ms
    start_ms = requests.time_ms // length_ms * length_ms
    fresh = np.ones(len(start_ms), np.bool_)
    fresh[1:] = (np.diff(start_ms) != 0) | (np.diff(requests.user) != 0)
    first = np.flatnonzero(fresh)
    user, start_ms = requests.user[first], start_ms[first]
    kept = (spec.sequences.history, spec.sequences.recent)
    spans = kernels.sequences(
        user, start_ms, start_ms + length_ms, actions.bounds, actions.time_ms, *kept
    )
    shard = shard_of(hash_strings(events.user[0].values), shards)[events.by_rank]
    window = start_ms // length_ms - start_ms.min() // length_ms
    order = np.argsort(window * shards + shard[user], kind="stable")
    return Records(user, start_ms, np.append(first, len(requests.row)), spans, shard, order)


@dataclass
class Writer:
    """Avro container files, one after the other, and their digests."""

    root: Path
    schema: Any
    digests: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=lambda: {"compress": 0.0, "files": 0.0})

    def __post_init__(self) -> None:
        self.header, self.compress = encode_header(self.schema), compressor()

    def write(self, start_ms: int, name: str, slices: Iterator[tuple[Any, Ints]]) -> None:
        """One file of already encoded datums."""
        parts = [self.header]
        for body, offsets in slices:
            for first, last in pairwise(block_cuts(offsets)):
                started = time.thread_time()
                frame = self.compress(memoryview(body)[offsets[first] : offsets[last]])
                self.seconds["compress"] += time.thread_time() - started
                parts.append(encode_block(last - first, frame, self.header[-SYNC_BYTES:]))
        started = time.thread_time()
        path = self.root / window_name(start_ms) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        data = b"".join(parts)
        path.write_bytes(data)
        self.digests[f"{path.parent.name}/{name}"] = hashlib.sha256(data).hexdigest()
        self.seconds["files"] += time.thread_time() - started


def write_users(
    records: Records,
    requests: Requests,
    actions: Actions,
    labels: Labels,
    events: Events,
    writer: Writer,
) -> None:
    """Encode and write the records, one file a window and shard."""
    given = _encoder(records, requests, actions, labels, events)
    key = (
        records.start_ms[records.order] * len(records.shard)
        + records.shard[records.user[records.order]]
    )
    bounds = np.append(np.flatnonzero(np.diff(key, prepend=key[0] - 1)), len(key))
    most = _bounds(records, requests)
    out = np.empty(int(max(np.add.reduceat(most[records.order], bounds[:-1]))) + 64, np.uint8)
    for begin, end in pairwise(bounds):
        group = records.order[begin:end]
        start_ms, shard = (
            int(records.start_ms[group[0]]),
            int(records.shard[records.user[group[0]]]),
        )
        slices = (
            (out, kernels.put_records((group[at : at + SLICE_RECORDS], *given[0]), out, *given[1:]))
            for at in range(0, len(group), SLICE_RECORDS)
        )
        writer.write(start_ms, shard_name(shard), slices)


def _bounds(records: Records, requests: Requests) -> Ints:
    """So many bytes hold each record, whatever is in it."""
    actions = (records.spans[:, 1] - records.spans[:, 0]) + (
        records.spans[:, 3] - records.spans[:, 2]
    )
    sizes = np.append(0, np.cumsum(512 + (requests.end - requests.begin) * 160))
    return 256 + actions * 64 + sizes[records.first[1:]] - sizes[records.first[:-1]]


def _encoder(
    records: Records, requests: Requests, actions: Actions, labels: Labels, events: Events
) -> tuple[Any, ...]:
    """All that the encoding kernel looks up."""
    spec = speed_spec()
    users = events.user[0].values.take(pa.array(events.by_rank))
    given = (records.user, records.start_ms, records.first, records.spans)
    user = (_texts(users), kernels.put_longs(hash_strings(users), False))
    closes = (
        spec.window.length_ms + spec.window.maturity_ms,
        _span(spec, "click"),
        _span(spec, "buy"),
    )
    ids = (*_raw(events.feedback["event_id"]), actions.row)
    return (
        given,
        user,
        _action_columns(actions, events, spec),
        _request_columns(requests, events, spec),
        _sample_columns(requests, events),
        (labels.shown, labels.tier, actions.time_ms, ids),
        closes,
    )


def _action_columns(actions: Actions, events: Events, spec: Spec) -> tuple[Any, ...]:
    """What H and R carry of all actions, encoded once."""
    items, places = hash_strings(events.item[1].values), _hashes(spec.scenarios)
    category = _words(events.feedback["category"])
    place = np.where(actions.place < 0, len(places), actions.place)
    return (
        kernels.put_times(actions.time_ms),
        _column(kernels.put_longs(items, False), actions.item),
        _column(kernels.put_longs(_hashes(TASKS), False), actions.task),
        _column(kernels.put_longs(places, True), place),
        _column(_optional(category), category[actions.row]),
    )


def _column(words: tuple[Bytes, Ints], codes: Array) -> Any:
    return kernels.put_column(words[0], words[1], codes)


def _request_columns(requests: Requests, events: Events, spec: Spec) -> tuple[Any, ...]:
    shown, rows = events.shown, requests.row
    places = [_one_text(name) + 2 * _one_text(spec.domain_of(name)) for name in spec.scenarios]
    query = _words(shown["query"])
    features = [_words(shown[name]) for name in REQUEST_IDS]
    return (
        requests.time_ms,
        requests.begin,
        requests.end,
        *_raw(shown["request_id"]),
        rows,
        (requests.place.astype(np.int32), *_joined(places)),
        (query[rows], *_texts(query.values, union=True)),
        tuple((one[rows], *_optional(one)) for one in features),
    )


def _sample_columns(requests: Requests, events: Events) -> tuple[Any, ...]:
    kept, candidates, items = requests.kept, events.candidates, events.item[0].values
    price = candidates["price"].fill_null(0.0).to_numpy()[kept]
    features = [_words(candidates[name]) for name in ITEM_IDS]
    return (
        requests.item,
        kernels.put_longs(hash_strings(items), False),
        _texts(items),
        candidates["position"].to_numpy()[kept].astype(np.int32),
        tuple((one[kept], *_optional(one)) for one in features),
        price.view(np.uint64),
        candidates["price"].is_valid().to_numpy()[kept],
    )


def _hashes(names: tuple[str, ...]) -> Ints:
    return np.array([hash_one(name) for name in names])


def _optional(words: Words) -> Any:
    return kernels.put_longs(hash_strings(words.values), True)


def _one_text(text: str) -> bytes:
    size = np.empty(16, np.uint8)
    data = text.encode()
    return bytes(size[: kernels.put_long(size, 0, len(data))]) + data


def _texts(values: pa.StringArray, union: bool = False) -> tuple[Bytes, Ints]:
    """Strings as Avro has them; behind a union's branch, and then null, if `union`."""
    branch = b"\2" if union else b""
    words = [branch + _one_text(text) for text in values.to_pylist()]
    return _joined([*words, b"\0"] if union else words)


def _joined(words: list[bytes]) -> tuple[Bytes, Ints]:
    """Words one after the other, with room behind them, and where each begins."""
    offsets = np.append(0, np.cumsum([len(word) for word in words], dtype=np.int64))
    return np.frombuffer(b"".join(words) + bytes(32), np.uint8), offsets


def _raw(column: pa.ChunkedArray) -> tuple[Bytes, Ints]:
    """The bytes of a text column, with room behind them, and where each row begins."""
    whole = pa.concat_arrays([*column.chunks, pa.array(["-" * 32])])
    offsets = np.frombuffer(whole.buffers()[1], np.int32)[: len(whole) + 1]
    return np.frombuffer(whole.buffers()[2], np.uint8), offsets.astype(np.int64)


def write_revisions(
    labels: Labels,
    requests: Requests,
    actions: Actions,
    events: Events,
    records: Records,
    writer: Writer,
) -> None:
    """Encode and write the revisions, one file a window that carries some and shard."""
    rows = _revisions(labels, requests, actions, events, records)
    schema = revision_schema()
    for (start_ms, shard), part in rows.partition_by(
        "carrier", "shard", as_dict=True, maintain_order=True
    ).items():
        table = part.drop("carrier", "shard").to_arrow().cast(schema).combine_chunks()
        slices = (
            encode(table.slice(at, SLICE_RECORDS).to_batches()[0], writer.schema)
            for at in range(0, len(table), SLICE_RECORDS)
        )
        writer.write(int(start_ms), revisions_name(int(shard)), slices)


def _revisions(
    labels: Labels, requests: Requests, actions: Actions, events: Events, records: Records
) -> pl.DataFrame:
    """Revisions in order, with the window that carries each and its shard."""
    spec = speed_spec()
    pair, cut, old, new, old_cut, fell = labels.revisions.T
    request = labels.request_of[np.maximum(old, new)]
    user, time_ms = requests.user[request], requests.time_ms[request]
    span_ms = spec.window.length_ms + spec.window.maturity_ms
    closes = time_ms + np.array([_span(spec, name) for name in TASKS])[pair & 1]
    users = events.user[0].values.take(pa.array(events.by_rank))
    items = events.item[0].values
    columns = {
        "carrier": cut - span_ms,
        "shard": records.shard[user],
        "window_start_ms": _sealed(time_ms, spec) - span_ms,
        "user_id": pl.Series(users.take(pa.array(user))),
        "user": hash_strings(users.take(pa.array(user))),
        "request_time_ms": time_ms,
        "request_id": pl.Series(events.shown["request_id"].take(pa.array(requests.row[request]))),
        "item_id": pl.Series(items.take(pa.array(requests.item[pair >> 1]))),
        "task": np.array(TASKS)[pair & 1],
        **_cited("old", old, actions, events, labels),
        "old_open": closes > old_cut,
        **_cited("new", new, actions, events, labels),
        "new_open": closes > cut,
        "retraction": fell.astype(np.bool_),
        "late": np.zeros(len(pair), np.bool_),
    }
    keys = ("window_start_ms", "user_id", "request_time_ms", "request_id", "item_id", "task")
    return pl.DataFrame(columns).sort("carrier", "shard", *keys)


def _cited(
    prefix: str, action: Ints, actions: Actions, events: Events, labels: Labels
) -> dict[str, Any]:
    none = action < 0
    ids = events.feedback["event_id"].take(pa.array(actions.row[action], mask=none))
    time_ms = pa.array(actions.time_ms[action], mask=none)
    tier = pa.array(labels.tier[action].astype(np.int32), mask=none)
    return {
        f"{prefix}_value": np.where(none, 0.0, 1.0),
        f"{prefix}_tier": pl.Series(tier),
        f"{prefix}_event_id": pl.Series(ids),
        f"{prefix}_time_ms": pl.Series(time_ms),
    }
