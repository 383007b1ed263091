"""The same pipeline with one Beam element an event: dicts, keyed by user, plain Python per user.

read → validate → key by user → GroupByKey → rules of one user → group by file → fastavro. It does
what `by_hand` does, on the same runner as the direct driver, and is what "columnar" is held
against. Streams are complete: no cut is waited for and nothing comes late.
"""

import math
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apache_beam as beam
import fastavro
import numpy as np
import pyarrow.parquet as pq
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from benchmarks.speed_world.spec import speed_spec
from schemas.hashing import hash_one, shard_of
from schemas.labels import TIER_CODES
from schemas.record import revision_avro, user_window_avro
from schemas.spec import Feature, Spec, Task
from schemas.windows import window_name
from schemas.windows.names import revisions_name, shard_name

Fields = dict[str, Any]
Event = tuple[str, Fields]
FileKey = tuple[int, str]
"""Window start and file name."""

ID_LIMIT_BYTES = 1024
POSITIONS = range(1 << 31)


def main(source: Path, windows: Path, shards: int) -> None:
    """Read `source`, write `windows`."""
    spec = speed_spec()
    files = [(path.parent.name, str(path)) for path in sorted(source.glob("*/*.parquet"))]
    options = PipelineOptions(["--direct_num_workers=1"])
    with beam.Pipeline(runner=FnApiRunner(), options=options) as pipeline:
        _ = (
            pipeline
            | "Files" >> beam.Create(files)
            | "Events" >> beam.FlatMap(_events)
            | "Usable" >> beam.Filter(is_usable, spec, time.time_ns() // 1_000_000)
            | "By user" >> beam.Map(lambda event: (event[1]["user_id"], event))
            | "Of a user" >> beam.GroupByKey()
            | "Rules" >> beam.FlatMap(_rows, spec, shards)
            | "Of a file" >> beam.GroupByKey()
            | "Write" >> beam.Map(_write, spec, windows)
        )


def _events(file: tuple[str, str]) -> Iterator[Event]:
    stream, path = file
    for fields in pq.read_table(path, use_threads=False).to_pylist():
        yield stream, fields


def is_usable(event: Event, spec: Spec, now_ms: int) -> bool:
    """Whether nothing speaks against an event: required fields, ranges, names, positions."""
    stream, fields = event
    if not 0 <= fields["time_ms"] <= now_ms + spec.time.max_ahead_ms:
        return False
    if not _are_ids(fields, "user_id"):
        return False
    kind = spec.streams[stream].kind
    if kind == "exposure":
        return fields["scenario"] in spec.scenarios and _is_shown(fields)
    if kind == "retraction":
        return _are_ids(fields, "event_id", "stream")
    known = fields["scenario"] is None or fields["scenario"] in spec.scenarios
    return known and _are_ids(fields, "event_id", "item_id") and _is_finite(fields["value"])


def _is_shown(fields: Fields) -> bool:
    candidates = fields["candidates"]
    positions = {candidate["position"] for candidate in candidates}
    return (
        _are_ids(fields, "request_id")
        and 0 < len(positions) == len(candidates)
        and all(position in POSITIONS for position in positions)
        and all(_are_ids(one, "item_id") and _is_finite(one["price"]) for one in candidates)
    )


def _are_ids(fields: Fields, *names: str) -> bool:
    return all(fields[name] and len(fields[name]) <= ID_LIMIT_BYTES for name in names)


def _is_finite(value: float | None) -> bool:
    return value is None or math.isfinite(value)


@dataclass(eq=False)
class Sample:
    """An exposed candidate and the feedback credited to it, by task."""

    request: Fields
    domain: str
    fields: Fields
    credits: dict[str, list["Credit"]] = field(default_factory=lambda: defaultdict(list))
    clicks: list["Feedback"] = field(default_factory=list)


@dataclass(eq=False)
class Feedback:
    """One feedback event; from `falls_ms` on it is retracted, as is known at `falls_cut`."""

    stream: str
    fields: Fields
    domain: str | None
    falls_ms: float = math.inf
    falls_cut: float = math.inf


@dataclass
class Credit:
    """An event on a sample: by which tier, from which cut to which."""

    event: Feedback
    tier: str
    settled: int
    withdrawn: float


def _rows(
    user_events: tuple[str, Iterable[Event]], spec: Spec, shards: int
) -> Iterator[tuple[FileKey, Fields]]:
    """The records of one user and the revisions of its labels, with the files they go to."""
    user, events = user_events
    shard = int(shard_of(np.array([hash_one(user)]), shards)[0])
    by_stream: dict[str, list[Fields]] = defaultdict(list)
    for stream, fields in events:
        by_stream[stream].append(fields)
    requests = _earliest(by_stream["exposure"], "request_id")
    requests.sort(key=lambda one: (one["time_ms"], one["request_id"]))
    samples = {id(request): _samples(request, spec) for request in requests}
    feedback = _feedback(by_stream, requests, spec)
    _credit(samples, requests, feedback, spec)
    for start_ms, shown in _windows(requests, spec).items():
        record = _record(user, start_ms, shown, samples, feedback, spec)
        yield (start_ms, shard_name(shard)), record
    for request in requests:
        for sample in sorted(samples[id(request)], key=lambda one: one.fields["item_id"]):
            for carrier_ms, row in _revisions(user, sample, spec):
                yield (carrier_ms, revisions_name(shard)), row


def _earliest(events: list[Fields], *identity: str) -> list[Fields]:
    first: dict[Any, Fields] = {}
    for one in events:
        other = first.setdefault(tuple(one[name] for name in identity), one)
        if one["time_ms"] < other["time_ms"]:
            first[tuple(one[name] for name in identity)] = one
    return list(first.values())


def _samples(request: Fields, spec: Spec) -> list[Sample]:
    seen: dict[str, Sample] = {}
    domain = spec.domain_of(request["scenario"])
    for one in sorted(request["candidates"], key=lambda candidate: candidate["position"]):
        if one["exposed"] is not False and one["item_id"] not in seen:
            seen[one["item_id"]] = Sample(request, domain, one)
    return list(seen.values())


def _feedback(
    by_stream: dict[str, list[Fields]], requests: list[Fields], spec: Spec
) -> list[Feedback]:
    """Distinct feedback in (time, stream, event id) order, with its domain and its retraction."""
    found = {}
    for stream in spec.feedback_streams:
        for fields in _earliest(by_stream[stream.name], "event_id"):
            domain = _domain(fields, requests, spec)
            found[stream.name, fields["event_id"]] = Feedback(stream.name, fields, domain)
    for refund in _earliest(by_stream["refund"], "stream", "event_id"):
        event = found.get((refund["stream"], refund["event_id"]))
        if event and event.fields["time_ms"] <= refund["time_ms"] + spec.memory_ms:
            falls_ms = max(event.fields["time_ms"], refund["time_ms"])
            event.falls_ms, event.falls_cut = falls_ms, spec.window.cut_at_or_after(falls_ms)
    return sorted(
        found.values(), key=lambda one: (one.fields["time_ms"], one.stream, one.fields["event_id"])
    )


def _domain(fields: Fields, requests: list[Fields], spec: Spec) -> str | None:
    if fields["scenario"] is not None:
        return spec.domain_of(fields["scenario"])
    for request in requests:
        age_ms = fields["time_ms"] - request["time_ms"]
        if request["request_id"] == fields["request_id"] and 0 <= age_ms <= spec.longest_horizon_ms:
            return spec.domain_of(request["scenario"])
    return None


def _credit(
    samples: dict[int, list[Sample]], requests: list[Fields], feedback: list[Feedback], spec: Spec
) -> None:
    """Rules 1 and 2: first the clicks, then what looks at what was clicked."""
    by_item: dict[str, list[Sample]] = defaultdict(list)
    for request in sorted(requests, key=lambda one: one["request_id"], reverse=True):
        for sample in samples[id(request)]:
            by_item[sample.fields["item_id"]].append(sample)
    for of_item in by_item.values():
        of_item.sort(key=lambda sample: sample.request["time_ms"])
    for kind in ("click", "conversion"):
        for event in feedback:
            if spec.streams[event.stream].kind == kind:
                _credit_tasks(event, by_item[event.fields["item_id"]], kind, spec)


def _credit_tasks(event: Feedback, of_item: list[Sample], kind: str, spec: Spec) -> None:
    for task in spec.tasks.values():
        if task.stream == event.stream:
            sample, tier = _place(event, of_item, kind, task)
            if sample is not None:
                sample.credits[task.name].append(_new_credit(event, sample, tier, task, spec))
                if kind == "click" and task.horizon_ms == spec.stream_horizon_ms(event.stream):
                    sample.clicks.append(event)


def _place(
    event: Feedback, of_item: list[Sample], kind: str, task: Task
) -> tuple[Sample | None, str]:
    time_ms, named = event.fields["time_ms"], event.fields["request_id"]
    eligible = [
        sample
        for sample in of_item
        if sample.domain == event.domain
        and sample.request["time_ms"] <= time_ms <= sample.request["time_ms"] + task.horizon_ms
    ]
    for sample in eligible:
        if sample.request["request_id"] == named:
            return sample, "direct"
    if kind == "conversion":
        eligible = [one for one in eligible if _is_clicked(one, time_ms)] or eligible
    return (eligible[-1], "in_domain") if eligible else (None, "")


def _is_clicked(sample: Sample, time_ms: int) -> bool:
    return any(click.fields["time_ms"] <= time_ms < click.falls_ms for click in sample.clicks)


def _new_credit(event: Feedback, sample: Sample, tier: str, task: Task, spec: Spec) -> Credit:
    time_ms = sample.request["time_ms"]
    closes = time_ms + task.horizon_ms + task.retraction_horizon_ms
    last = event.falls_cut - spec.window.length_ms
    acts = closes > max(event.falls_ms, last) or _sealed_at(time_ms, spec) >= event.falls_cut
    settled = spec.window.cut_at_or_after(event.fields["time_ms"])
    return Credit(event, tier, settled, event.falls_cut if acts else math.inf)


def _sealed_at(time_ms: int, spec: Spec) -> int:
    return spec.window.cut(spec.window.start(time_ms))


def _label(sample: Sample, task: Task, cut: float) -> Credit | None:
    for one in sample.credits.get(task.name, ()):
        if one.settled <= cut < one.withdrawn:
            return one
    return None


def _is_open(sample: Sample, task: Task, cut: float) -> bool:
    return sample.request["time_ms"] + task.horizon_ms + task.retraction_horizon_ms > cut


def _windows(requests: list[Fields], spec: Spec) -> dict[int, list[Fields]]:
    windows: dict[int, list[Fields]] = defaultdict(list)
    for request in requests:
        windows[spec.window.start(request["time_ms"])].append(request)
    return windows


def _record(
    user: str,
    start_ms: int,
    shown: list[Fields],
    samples: dict[int, list[Sample]],
    feedback: list[Feedback],
    spec: Spec,
) -> Fields:
    end_ms, kept = start_ms + spec.window.length_ms, spec.sequences
    before = [one for one in feedback if one.fields["time_ms"] < start_ms]
    within = [one for one in feedback if start_ms <= one.fields["time_ms"] < end_ms]
    return {
        "user_id": user,
        "user": hash_one(user),
        "window_start_ms": start_ms,
        "history": _sequence(before[max(0, len(before) - kept.history) :], spec),
        "recent": _sequence(within[: kept.recent], spec),
        "requests": [_request(one, samples[id(one)], spec) for one in shown],
    }


def _sequence(actions: list[Feedback], spec: Spec) -> Fields:
    carried = [spec.features[name] for name in spec.sequences.features]
    return {
        "time_ms": [one.fields["time_ms"] for one in actions],
        "item": [hash_one(one.fields["item_id"]) for one in actions],
        "action": [hash_one(one.stream) for one in actions],
        "scenario": [_hashed(one.fields["scenario"]) for one in actions],
        **{f.name: [_feature(f, one.fields) for one in actions] for f in carried},
    }


def _hashed(text: str | None) -> int | None:
    return None if text is None else hash_one(text)


def _feature(feature: Feature, fields: Fields) -> float | int | None:
    value = fields[feature.name]
    return _hashed(value) if feature.type == "id" else value


def _request(request: Fields, samples: list[Sample], spec: Spec) -> Fields:
    domain = spec.domain_of(request["scenario"])
    logged = spec.owned_by("user", "context", "query")
    return {
        "id": request["request_id"],
        "time_ms": request["time_ms"],
        "scenario": request["scenario"],
        "domain": domain,
        "origin_domain": domain,
        "query": request["query"],
        **{f.name: _feature(f, request) for f in logged},
        "candidates": _candidates(request, samples, spec),
    }


def _candidates(request: Fields, samples: list[Sample], spec: Spec) -> Fields:
    features = spec.owned_by("item", "cross")
    cut = _sealed_at(request["time_ms"], spec)
    return {
        "item": [hash_one(one.fields["item_id"]) for one in samples],
        "item_id": [one.fields["item_id"] for one in samples],
        "origin": [0 for _ in samples],
        "position": [one.fields["position"] for one in samples],
        "probability": [1.0 for _ in samples],
        **{f.name: [_feature(f, one.fields) for one in samples] for f in features},
        "labels": {task.name: _labels(samples, task, cut) for task in spec.tasks.values()},
    }


def _labels(samples: list[Sample], task: Task, cut: int) -> Fields:
    shown = [_label(sample, task, cut) for sample in samples]
    cited = [_cited(one) for one in shown]
    names = ("value", "tier", "event_id", "time_ms")
    columns: Fields = {name: [one[name] for one in cited] for name in names}
    return columns | {"open": [_is_open(sample, task, cut) for sample in samples]}


def _cited(credit: Credit | None) -> Fields:
    if credit is None:
        return {"value": 0.0, "tier": None, "event_id": None, "time_ms": None}
    event = credit.event.fields
    named = {"event_id": event["event_id"], "time_ms": event["time_ms"]}
    return {"value": 1.0, "tier": TIER_CODES[credit.tier], **named}


def _revisions(user: str, sample: Sample, spec: Spec) -> Iterator[tuple[int, Fields]]:
    """Rule 5: changes of the labels of one sample, with the windows that carry them."""
    sealed_at = _sealed_at(sample.request["time_ms"], spec)
    for task in sorted(spec.tasks.values(), key=lambda one: one.name):
        credits = sample.credits.get(task.name, [])
        cuts = {cut for one in credits for cut in (one.settled, one.withdrawn)}
        old, shown_at = _label(sample, task, sealed_at), sealed_at
        for cut in sorted(cut for cut in cuts if sealed_at < cut < math.inf):
            new = _label(sample, task, cut)
            if new is not old:
                retraction = any(one.withdrawn == cut for one in credits)
                row = _revision(user, sample, task, (old, shown_at), (new, int(cut)), spec)
                yield spec.window.window_of_cut(int(cut)), row | {"retraction": retraction}
                old, shown_at = new, int(cut)


def _revision(
    user: str,
    sample: Sample,
    task: Task,
    old: tuple[Credit | None, int],
    new: tuple[Credit | None, int],
    spec: Spec,
) -> Fields:
    row = {
        "window_start_ms": spec.window.start(sample.request["time_ms"]),
        "user_id": user,
        "user": hash_one(user),
        "request_time_ms": sample.request["time_ms"],
        "request_id": sample.request["request_id"],
        "item_id": sample.fields["item_id"],
        "task": task.name,
        "late": False,
    }
    for prefix, (credit, cut) in (("old", old), ("new", new)):
        row |= {f"{prefix}_{name}": value for name, value in _cited(credit).items()}
        row[f"{prefix}_open"] = _is_open(sample, task, cut)
    return row


def _write(file_rows: tuple[FileKey, Iterable[Fields]], spec: Spec, root: Path) -> None:
    (start_ms, name), rows = file_rows
    users = name.startswith("shard")
    path = root / window_name(start_ms) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    ordered = sorted(rows, key=_user if users else _place_of_revision)
    with path.open("wb") as file:
        schema = user_window_avro(spec) if users else revision_avro()
        fastavro.writer(file, schema, ordered, codec="zstandard")


def _user(row: Fields) -> bytes:
    return str(row["user_id"]).encode()


def _place_of_revision(row: Fields) -> tuple[Any, ...]:
    names = ("user_id", "request_time_ms", "request_id", "item_id", "task")
    return (row["window_start_ms"], *(row[name] for name in names))
