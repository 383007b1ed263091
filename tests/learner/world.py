"""A small shop whose windows the tests write themselves: random, and with something to learn."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from schemas.hashing import hash_one, hash_strings
from schemas.record import revision_schema, user_window_schema
from schemas.spec import Spec, parse
from schemas.windows.manifest import BuildInfo, Manifest
from schemas.windows.names import window_name
from schemas.windows.seal import seal
from schemas.windows.write import write_revisions, write_shard

SPEC_TEXT = """
name = "shop"
[window]
length = "1h"
[streams]
exposure = { kind = "exposure" }
click = { kind = "click" }
buy = { kind = "conversion" }
item = { kind = "item" }
[domains.search]
scenarios = ["search"]
[domains.feed]
scenarios = ["home", "detail"]
[tasks]
click = { stream = "click", horizon = "10m" }
buy = { stream = "buy", horizon = "30m", domains = ["search"] }
[features]
segment = { owner = "user", type = "id" }
brand = { owner = "item", type = "id" }
tags = { owner = "item", type = "ids", table = "tag" }
price = { owner = "item", type = "number" }
[sequences]
streams = ["click", "buy"]
history = 20
recent = 5
features = ["brand", "tags"]
"""

SPEC = parse(SPEC_TEXT, "shop.toml")
HOUR_MS = 3_600_000
START_MS = 1_700_000_000_000 // HOUR_MS * HOUR_MS
ITEMS = 60


def write_spec(folder: Path, learner: str = "") -> Path:
    """The spec as a file, with a learner section."""
    path = folder / "shop.toml"
    path.write_text(SPEC_TEXT + learner)
    return path


def write_window(root: Path, index: int, users: int = 30, shards: int = 2) -> Manifest:
    """Seal window `index` with `users` records, split over `shards`.

    It carries revisions of the samples of the window before, as that one would be written.
    """
    start_ms = START_MS + index * HOUR_MS
    parts = records_of(index, users, shards)
    late = np.random.default_rng([index, users, 1])
    before = records_of(index - 1, users, shards) if index else []
    revised = [revisions_of(late, part) for part in before]
    return seal_parts(root, start_ms, parts, revised)


def records_of(index: int, users: int, shards: int) -> list[pa.RecordBatch]:
    """The records of window `index`, a batch a shard."""
    rng = np.random.default_rng([index, users])
    start_ms = START_MS + index * HOUR_MS
    parts = np.array_split(np.arange(users), shards)
    return [records(rng, start_ms, part) for part in parts]


def seal_parts(
    root: Path,
    start_ms: int,
    users: Sequence[pa.RecordBatch],
    revisions: Sequence[pa.Table] = (),
    spec: Spec = SPEC,
) -> Manifest:
    """Seal a window of these records and revisions, a shard each."""
    folder = root / window_name(start_ms)
    entries = [write_shard(folder, shard, part, spec) for shard, part in enumerate(users)]
    entries += [write_revisions(folder, shard, part, spec) for shard, part in enumerate(revisions)]
    build = BuildInfo("tests", None, 0, 0)
    cut_ms = spec.window.cut(start_ms)
    shards = max(len(users), len(revisions))
    return seal(root, start_ms, cut_ms, spec, entries, build, shards=shards)


def revisions_of(rng: np.random.Generator, users: pa.RecordBatch, share: float = 0.1) -> pa.Table:
    """Some labels of these records turned over, in the order of rule 12."""
    rows = [
        revision(user, request, place, task)
        for user in users.to_pylist()
        for request in user["requests"]
        for place in np.argsort(request["candidates"]["item_id"])
        for task in ("buy", "click")
        if request["candidates"]["labels"][task]["value"][place] is not None
        and rng.random() < share
    ]
    return pa.Table.from_pylist(rows, schema=revision_schema())


def revision(
    user: dict[str, Any],
    request: dict[str, Any],
    place: int,
    task: str,
    value: float | None = None,
) -> dict[str, object]:
    """The revision that turns a label over, or to `value`."""
    old = request["candidates"]["labels"][task]["value"][place]
    return {
        "window_start_ms": user["window_start_ms"],
        "user_id": user["user_id"],
        "user": user["user"],
        "request_time_ms": request["time_ms"],
        "request_id": request["id"],
        "item_id": request["candidates"]["item_id"][place],
        "task": task,
        "old_value": old,
        "old_open": True,
        "new_value": 1.0 - old if value is None else value,
        "new_open": False,
        "retraction": old > 0,
        "late": False,
    }


def records(rng: np.random.Generator, start_ms: int, users: np.ndarray) -> pa.RecordBatch:
    """Records in which the item decides how often it is clicked."""
    names = [f"u{user:04d}" for user in users]
    rows = [_record(rng, start_ms, name) for name in names]
    return pa.RecordBatch.from_pylist(rows, schema=user_window_schema(SPEC))


def _record(rng: np.random.Generator, start_ms: int, user: str) -> dict[str, object]:
    requests = [_request(rng, start_ms, user, n) for n in range(int(rng.integers(1, 4)))]
    return {
        "user_id": user,
        "user": hash_one(user),
        "window_start_ms": start_ms,
        "history": _sequence(rng, start_ms - HOUR_MS, int(rng.integers(0, 8))),
        "recent": _sequence(rng, start_ms, int(rng.integers(0, 4))),
        "requests": requests,
    }


def _sequence(rng: np.random.Generator, start_ms: int, n: int) -> dict[str, object]:
    items = rng.integers(0, ITEMS, n)
    streams = [("click", "buy")[int(rng.random() < 0.2)] for _ in range(n)]
    return {
        "time_ms": sorted(int(start_ms + t) for t in rng.integers(0, HOUR_MS, n)),
        "item": [hash_one(f"i{item}") for item in items],
        "action": [hash_one(stream) for stream in streams],
        "scenario": [hash_one("home") if rng.random() < 0.5 else None for _ in range(n)],
        "brand": [hash_one(f"b{item % 7}") for item in items],
        "tags": [[hash_one(f"t{item % 5}")][: int(item) % 2] for item in items],
    }


def _request(rng: np.random.Generator, start_ms: int, user: str, n: int) -> dict[str, object]:
    scenario = ("search", "home", "detail")[int(rng.integers(0, 3))]
    domain = "search" if scenario == "search" else "feed"
    return {
        "id": f"{user}-{n}",
        "time_ms": start_ms + n * 60_000,
        "scenario": scenario,
        "domain": domain,
        "origin_domain": domain,
        "query": "shoes" if domain == "search" else None,
        "segment": hash_one(f"s{len(user) % 3}") if rng.random() < 0.8 else None,
        "candidates": _candidates(rng, domain),
    }


def _candidates(rng: np.random.Generator, domain: str) -> dict[str, object]:
    items = rng.choice(ITEMS, int(rng.integers(2, 9)), replace=False)
    n = len(items)
    clicked = rng.random(n) < (items % 10) / 10
    return {
        "item": hash_strings(pa.array([f"i{item}" for item in items])).tolist(),
        "item_id": [f"i{item}" for item in items],
        "origin": [0] * n,
        "position": list(range(n)),
        "probability": [1.0] * n,
        "brand": [hash_one(f"b{item % 7}") for item in items],
        "tags": [[hash_one(f"t{item % 5}")] for item in items],
        "price": [float(item) if item % 4 else None for item in items],
        "labels": {
            "click": _label(clicked.tolist(), missing=False),
            "buy": _label((clicked & (rng.random(n) < 0.4)).tolist(), missing=domain == "feed"),
        },
    }


def _label(happened: list[bool], missing: bool) -> dict[str, object]:
    n = len(happened)
    return {
        "value": [None if missing else float(one) for one in happened],
        "tier": [0 if one and not missing else None for one in happened],
        "event_id": [None] * n,
        "time_ms": [None] * n,
        "open": [False] * n,
    }
