"""A small store with a target domain, every origin, three paths, and revisions of each cause.

Windows of one hour, sealed ten minutes after; the third hour has none. `search` is the target.

window 0  ada: r1 (search)  tee exposed: click direct at once
                            hat unexposed: click 60 s later
               p1 (made of a click in the feed, query by `own`)
                            cap: click searchified after 5 s; scarf: its negative
          bob: r2 (feed)    tee exposed: click in_domain after 5 s
window 1  bob: p2 (query by `none`)  cap: click searchified after 20 s
          revisions of window 0: tee of r1 bought after 65 min; the click on tee of r2 retracted
window 3  ada: r3 (search)  tee exposed: click direct after 1 s
               p3 (query by `nearest`)  cap: no click any more
          revisions: the purchase of window 0 retracted, read late; a click of a window that is
          no longer there, read late
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.dead_letters import DeadLetter, dead_letter_table
from schemas.hashing import hash_one
from schemas.labels import ORIGIN_CODES, QUERY_PATH_CODES, TIER_CODES
from schemas.record import revision_schema, user_window_schema
from schemas.spec import parse
from schemas.windows import BuildInfo, seal, window_name, write_revisions, write_shard

SPEC_TEXT = """
name = "corner"
window = { length = "1h", maturity = "10m" }
streams.exposure.kind = "exposure"
streams.click.kind = "click"
streams.buy.kind = "conversion"
streams.item.kind = "item"
streams.refund.kind = "retraction"
domains.search.scenarios = ["results"]
domains.feed.scenarios = ["home"]
tasks.click = { stream = "click", horizon = "30m", retraction_horizon = "1d" }
tasks.buy = { stream = "buy", horizon = "2h", retraction_horizon = "1d" }
target = { domain = "search", unexposed = 1, searchify = { negatives = 1, query_memory = 2 } }
sequences = { streams = ["click"], history = 1, recent = 1 }
"""
SPEC = parse(SPEC_TEXT, "corner.toml")
HOUR_MS = 3_600_000
START_MS = 1_651_370_400_000
BUILD = BuildInfo("tests", None, 0, 0)

Json = dict[str, Any]
Credit = tuple[str, int] | None
"""A tier and how long after its request the event came."""


def start_ms(window: int) -> int:
    """When a window of the store begins."""
    return START_MS + window * HOUR_MS


def write_store(root: Path) -> Path:
    """The store that this module's first lines tell of, and its dead letters."""
    r1 = _request("r1", start_ms(0), "search", [
        ("tee", "exposed", ("direct", 0)), ("hat", "unexposed", ("unexposed", 60_000)),
    ])  # fmt: skip
    p1 = _request("p1", start_ms(0) + 9, "feed", [
        ("cap", "searchified_positive", ("searchified", 5_000)),
        ("scarf", "searchified_negative", None),
    ], path="own")  # fmt: skip
    r2 = _request("r2", start_ms(0) + 10, "feed", [("tee", "exposed", ("in_domain", 5_000))])
    p2 = _request("p2", start_ms(1), "feed", [
        ("cap", "searchified_positive", ("searchified", 20_000)),
    ], path="none")  # fmt: skip
    r3 = _request("r3", start_ms(3), "search", [("tee", "exposed", ("direct", 1_000))])
    p3 = _request("p3", start_ms(3), "feed", [("cap", "searchified_positive", None)], "nearest")
    bought = ("direct", 65 * 60_000)
    _seal(root, 0, {"ada": [r1, p1], "bob": [r2]}, [])
    _seal(root, 1, {"bob": [p2]}, [
        _revision(0, "ada", "r1", "buy", None, bought),
        _revision(0, "bob", "r2", "click", ("in_domain", 5_000), None, retraction=True),
    ])  # fmt: skip
    _seal(root, 3, {"ada": [r3, p3]}, [
        _revision(-2, "ada", "r0", "click", None, ("direct", 100), late=True),
        _revision(0, "ada", "r1", "buy", bought, None, retraction=True, late=True),
    ])  # fmt: skip
    write_dead_letters(root, 1, "click", ["bad_time", "bad_time"])
    write_dead_letters(root, 2, "click", ["bad_time", "late"])
    write_dead_letters(root, 3, "exposure", ["late"])
    return root


def write_dead_letters(root: Path, epoch: int, stream: str, reasons: Sequence[str]) -> None:
    """One epoch's dead letters, as the pipeline keeps them."""
    folder = root / "dead_letters"
    folder.mkdir(exist_ok=True)
    letters = [DeadLetter(place, reason, None, b"{}") for place, reason in enumerate(reasons)]
    pq.write_table(dead_letter_table(stream, "a.jsonl", letters), folder / f"{epoch:06d}.parquet")


def _request(
    request_id: str,
    time_ms: int,
    origin_domain: str,
    samples: list[tuple[str, str, Credit]],
    path: str | None = None,
) -> Json:
    """A native request, or one of the target that was made of a click if it has a path."""
    items = [item for item, _, _ in samples]
    credits = [credit for _, _, credit in samples]
    return {
        "id": request_id,
        "time_ms": time_ms,
        "scenario": "results" if origin_domain == "search" else "home",
        "domain": "search" if path else origin_domain,
        "origin_domain": origin_domain,
        "query": None,
        "source_request": f"source of {request_id}" if path else None,
        "query_path": QUERY_PATH_CODES[path] if path else None,
        "query_score": None,
        "candidates": {
            "item": list(map(hash_one, items)),
            "item_id": items,
            "origin": [ORIGIN_CODES[origin] for _, origin, _ in samples],
            "position": list(range(len(items))),
            "probability": [1.0] * len(items),
            "labels": {
                "click": _labels(time_ms, credits),
                "buy": _labels(time_ms, [None] * len(items)),
            },
        },
    }


def _labels(time_ms: int, credits: Sequence[Credit]) -> Json:
    return {
        "value": [float(credit is not None) for credit in credits],
        "tier": [credit and TIER_CODES[credit[0]] for credit in credits],
        "event_id": [credit and "e" for credit in credits],
        "time_ms": [credit and time_ms + credit[1] for credit in credits],
        "open": [True] * len(credits),
    }


def _revision(
    window: int,
    user: str,
    request_id: str,
    task: str,
    old: Credit,
    new: Credit,
    retraction: bool = False,
    late: bool = False,
) -> Json:
    """A revision of the tee of a request that was made as the window began."""
    time_ms = start_ms(window)
    sides = {}
    for side, credit in (("old", old), ("new", new)):
        (label,) = zip(*_labels(time_ms, [credit]).values(), strict=True)
        names = ("value", "tier", "event_id", "time_ms", "open")
        sides |= {f"{side}_{name}": value for name, value in zip(names, label, strict=True)}
    return {
        "window_start_ms": time_ms,
        "user_id": user,
        "user": hash_one(user),
        "request_time_ms": time_ms,
        "request_id": request_id,
        "item_id": "tee",
        "task": task,
        **sides,
        "retraction": retraction,
        "late": late,
    }


def _seal(root: Path, window: int, users: Mapping[str, list[Json]], revisions: list[Json]) -> None:
    start, none = start_ms(window), {"time_ms": [], "item": [], "action": [], "scenario": []}
    rows = [
        {
            "user_id": user,
            "user": hash_one(user),
            "window_start_ms": start,
            "history": none,
            "recent": none,
            "requests": requests,
        }
        for user, requests in users.items()
    ]
    folder = root / window_name(start)
    records = pa.Table.from_pylist(rows, schema=user_window_schema(SPEC))
    revised = pa.Table.from_pylist(revisions, schema=revision_schema())
    entries = [write_shard(folder, 0, records, SPEC), write_revisions(folder, 0, revised, SPEC)]
    seal(root, start, SPEC.window.cut(start), SPEC, entries, BUILD, shards=1)
