"""The made-up shop and sound events of each of its streams."""

from pathlib import Path
from typing import Any

from schemas.spec import load

SHOP = load(Path(__file__).parents[1] / "schemas" / "shop.toml")
NOW_MS = 1_700_000_000_000

EXPOSURE: dict[str, Any] = {
    "request_id": "r1",
    "user_id": "u1",
    "time_ms": NOW_MS - 10,
    "scenario": "home",
    "query": "red shoes",
    "age": 31,
    "hour": "7",
    "words": ["red", "shoes"],
    "candidates": [
        {"item_id": "b", "position": 1, "exposed": True, "color": "red", "match": 0.5},
        {"item_id": "a", "position": 0, "exposed": False, "tags": ["x", "y"]},
    ],
}
ORDER: dict[str, Any] = {
    "event_id": "e1",
    "user_id": "u1",
    "time_ms": NOW_MS - 5,
    "item_id": "a",
    "scenario": "home",
    "request_id": "r1",
    "value": 12.5,
    "tags": ["x"],
}
ITEM: dict[str, Any] = {
    "item_id": "a",
    "time_ms": NOW_MS - 90,
    "title": "Red shoes",
    "color": "blue",
    "tags": [],
}
REFUND: dict[str, Any] = {
    "stream": "order",
    "event_id": "e1",
    "user_id": "u1",
    "time_ms": NOW_MS,
}
SOUND = {
    "exposure": EXPOSURE,
    "click": {name: value for name, value in ORDER.items() if name != "value"},
    "order": ORDER,
    "item": ITEM,
    "refund": REFUND,
}
