"""The spec's `[target]` section: the domain that learns from the entire space."""

import math
from collections.abc import Collection, Mapping

from schemas.spec.model import Feature, Searchify, Stream, Target
from schemas.spec.table import Table, near_match

ENCODERS = ("ngrams", "sentences")


def parse_target(
    table: Table,
    streams: Mapping[str, Stream],
    domains: Collection[str],
    features: Mapping[str, Feature],
) -> Target:
    """Check `[target]`. Raises SpecError."""
    domain = table.text("domain")
    if domain not in domains:
        raise table.fail("domain", "the name of a domain", domain, near_match(domain, domains))
    target = Target(
        domain=domain,
        hierarchical=table.flag("hierarchical", True),
        unexposed=table.count("unexposed", 0),
        seed=table.count("seed", 0),
        searchify=_searchify(table, streams, features),
    )
    table.finish()
    return target


def _searchify(
    parent: Table, streams: Mapping[str, Stream], features: Mapping[str, Feature]
) -> Searchify | None:
    if "searchify" not in parent.values:
        return None
    table = parent.table("searchify")
    if not any(stream.kind == "item" for stream in streams.values()):
        raise parent.fail("searchify", "a stream of kind 'item' that gives titles", "none")
    texts = [f.name for f in features.values() if f.owner == "item" and f.type != "number"]
    searchify = Searchify(
        negatives=table.count("negatives"),
        floor=_floor(table),
        query_memory=table.count("query_memory"),
        text=table.names_among("text", texts, "an item feature of type id or ids", []),
        encoder=table.choice("encoder", ENCODERS, "ngrams"),
    )
    table.finish()
    return searchify


def _floor(table: Table) -> float:
    value = float(table.take("floor", (int, float), "a number from 0 to 1", 0.0))
    if not (math.isfinite(value) and 0 <= value <= 1):
        raise table.fail("floor", "a number from 0 to 1", value)
    return value
