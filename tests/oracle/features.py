"""What a record shows of a feature: its hash, hashes or number, or that it is missing."""

from typing import Any

from schemas.hashing import hash_one
from schemas.spec import Feature


def shown(feature: Feature, domain: str, values: dict[str, Any]) -> Any:
    """A feature that names `domains` is missing, not its default, outside them."""
    known = feature.is_logged_in(domain)
    return encode(feature, values.get(feature.name)) if known else missing(feature)


def aligned(feature: Feature, origin: str, target: str, values: dict[str, Any]) -> Any:
    """Rule 10: "Features aligned to the target's schema: what the target knows and the source
    does not is *missing*, not zero"."""
    if feature.owner == "query" or not feature.is_logged_in(target):
        return missing(feature)
    return shown(feature, origin, values)


def missing(feature: Feature) -> Any:
    return [] if feature.type == "ids" else None


def encode(feature: Feature, value: Any) -> Any:
    """An `id` is its hash, `ids` are hashes, a `number` a float64; a null takes the default."""
    if feature.type == "ids":
        return [hash_one(one) for one in value or []]
    if value is None:
        value = feature.default
    if value is None:
        return None
    return hash_one(value) if feature.type == "id" else float(value)


def hash_or_none(text: str | None) -> int | None:
    return None if text is None else hash_one(text)
