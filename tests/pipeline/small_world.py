"""A seeded world of some thousand events in which much goes wrong, for whole-driver tests.

Its users go from the feed to search and back; search is the target domain.
"""

import json
import random
from collections import defaultdict
from pathlib import Path
from typing import Any

from schemas.spec import Spec, parse

SPEC_TOML = """
name = "small"

[window]
length = "10s"
maturity = "5s"

[time]
max_ahead = "1h"
slack = "2s"

[streams]
exposure = { kind = "exposure" }
click = { kind = "click" }
buy = { kind = "conversion" }
refund = { kind = "retraction" }
item = { kind = "item" }

[domains.feed]
scenarios = ["home", "side"]

[domains.search]
scenarios = ["results"]

[target]
domain = "search"
unexposed = 1

[target.searchify]
negatives = 2
floor = 0.1
query_memory = 3
text = ["tags"]

[tasks]
click = { stream = "click", horizon = "8s" }
buy = { stream = "buy", horizon = "20s", retraction_horizon = "5s" }
spent = { stream = "buy", horizon = "20s", value = "sum", domains = ["search"] }

[features]
age = { owner = "user", type = "number", default = 30.0 }
country = { owner = "user", type = "id" }
brand = { owner = "item", type = "id", default = "none", domains = ["search"] }
tags = { owner = "item", type = "ids" }
likeness = { owner = "cross", type = "number", recipe = "query_title_similarity" }

[sequences]
streams = ["click", "buy"]
history = 5
recent = 4
features = ["brand"]
"""

Events = dict[str, list[dict[str, Any]]]


def small_spec() -> Spec:
    """The spec of the small world."""
    return parse(SPEC_TOML)


def small_world(seed: int, requests: int = 800) -> Events:
    """Events by stream, in no order, with duplicates, ties, missing ids and retractions."""
    rng = random.Random(seed)
    events: Events = defaultdict(list)
    for number in range(requests):
        exposure = _exposure(rng, number)
        events["exposure"] += [exposure] * (1 + (rng.random() < 0.05))
        for candidate in exposure["candidates"]:
            _react(rng, exposure, candidate["item_id"], events)
    events["item"] = [_item(rng) for _ in range(requests // 4)]
    for rows in events.values():
        rng.shuffle(rows)
    return events


def _exposure(rng: random.Random, number: int) -> dict[str, Any]:
    items = rng.sample(range(40), rng.randint(1, 6))
    return {
        "request_id": f"r{number}",
        "user_id": f"u{rng.randrange(60)}",
        "time_ms": rng.randrange(0, 120_000, 250),
        "scenario": rng.choice(["home", "side", "results"]),
        "query": rng.choice([None, "", "shoes", "red shoes", "blue hat", "a red hat"]),
        "age": rng.choice([None, 20.0, 41.5]),
        "country": rng.choice([None, "de", "日本"]),
        "candidates": [
            {
                "item_id": f"i{item}",
                "position": position,
                "exposed": rng.random() < 0.8,
                "brand": rng.choice([None, "a", "b"]),
                "tags": rng.choice([None, [], ["x"], ["x", "y"]]),
                "likeness": rng.choice([None, 0.5]),
            }
            for position, item in enumerate(items)
        ],
    }


def _item(rng: random.Random) -> dict[str, Any]:
    return {
        "item_id": f"i{rng.randrange(40)}",
        "time_ms": rng.randrange(0, 120_000, 250),
        "title": rng.choice([None, "", "red shoes", "blue shoes", "a hat", "red hat", "a coat"]),
        "brand": rng.choice([None, "a", "b"]),
        "tags": rng.choice([None, [], ["x"], ["x", "y"]]),
    }


def _react(rng: random.Random, exposure: dict[str, Any], item: str, events: Events) -> None:
    for stream, share, span in (("click", 0.35, 10_000), ("buy", 0.15, 24_000)):
        if rng.random() > share:
            continue
        event = {
            "event_id": f"{exposure['request_id']}-{item}-{stream}",
            "user_id": exposure["user_id"],
            "time_ms": exposure["time_ms"] + rng.randrange(0, span, 250),
            "item_id": item,
            "scenario": rng.choice([exposure["scenario"]] * 3 + ["side", "results", None]),
            "request_id": rng.choice([exposure["request_id"], None, "gone"]),
            "value": float(rng.randint(1, 9)),
            "brand": rng.choice([None, "a"]),
        }
        events[stream] += [event] * (1 + (rng.random() < 0.1))
        if rng.random() < 0.15:
            events["refund"].append(_refund(rng, stream, event))


def _refund(rng: random.Random, stream: str, event: dict[str, Any]) -> dict[str, Any]:
    return {
        "stream": stream,
        "event_id": event["event_id"],
        "user_id": event["user_id"],
        "time_ms": event["time_ms"] + rng.randrange(0, 30_000, 250),
    }


def write_json_lines(events: Events, root: Path, files: int = 1) -> None:
    """A folder per stream, its events dealt out to so many files."""
    for stream, rows in events.items():
        folder = root / stream
        folder.mkdir(parents=True, exist_ok=True)
        for part in range(files):
            lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows[part::files]]
            (folder / f"{part:03d}.jsonl").write_text("".join(lines), encoding="utf-8")
