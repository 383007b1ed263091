"""The spec's `[features]` section, and what may be a name."""

import math
import re
from collections.abc import Collection
from typing import Any, get_args

from schemas.spec.model import Feature, FeatureOwner, FeatureType, Recipe
from schemas.spec.table import Table

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

RESERVED = frozenset(
    "request_id user_id time_ms scenario query candidates item_id position exposed event_id value"
    " stream title origin probability domain origin_domain id item action labels source_request"
    " query_path query_score".split()
)
"""Field names of events and records; no feature may take one."""


def name_of(table: Table, key: str, name: str) -> str:
    """The name, if it may be one. Raises SpecError."""
    if _NAME.fullmatch(name) is None:
        raise table.fail(key, "a name of letters, digits and underscores", name)
    return name


def parse_features(root: Table, domains: Collection[str]) -> dict[str, Feature]:
    """Check `[features]`. Raises SpecError."""
    features = {}
    for name, table in root.tables("features", {}).items():
        if name in RESERVED:
            raise root.fail("features", "a name that no event field has", name)
        feature = _feature(name_of(root, "features", name), table, domains)
        features[name] = feature
        table.finish()
    return features


def _feature(name: str, table: Table, domains: Collection[str]) -> Feature:
    owner: Any = table.choice("owner", get_args(FeatureOwner))
    kind: Any = table.choice("type", get_args(FeatureType))
    vocabulary = table.names("vocabulary", [])
    if vocabulary and kind == "number":
        raise table.fail("vocabulary", "none for a number", list(vocabulary))
    default = _default(table, kind)
    if vocabulary and default is not None and default not in vocabulary:
        raise table.fail("default", "a word of the vocabulary", default)
    return Feature(
        name=name,
        owner=owner,
        type=kind,
        vocabulary=vocabulary,
        default=default,
        table=_table_name(table, name, kind),
        domains=table.names_among("domains", domains, "a domain", []),
        recipe=_recipe(table, owner, kind),
    )


def _recipe(table: Table, owner: str, kind: str) -> Recipe | None:
    if "recipe" not in table.values:
        table.seen.add("recipe")
        return None
    recipe: Any = table.choice("recipe", get_args(Recipe))
    if (owner, kind) != ("cross", "number"):
        raise table.fail("recipe", "none but for a cross feature of type number", recipe)
    return recipe


def _default(table: Table, kind: str) -> str | float | None:
    if kind == "number":
        value = table.take("default", (int, float), "a number", None)
        if value is not None and not math.isfinite(value):
            raise table.fail("default", "a finite number", value)
        return None if value is None else float(value)
    if kind == "ids" and "default" in table.values:
        raise table.fail("default", "none for a list of ids", table.values["default"])
    return table.take("default", str, "a string", None)


def _table_name(table: Table, name: str, kind: str) -> str:
    if kind == "number":
        return ""
    return table.text("table", name)
