"""Whence a request came that a click made: its source, its query, its similarity (rule 10)."""

from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa

from pipelines.explain.events import Request, Version
from pipelines.explain.samples import distinct
from pipelines.explain.searchified import Positive, searchify_of, target_of
from pipelines.explain.settle import Settled, settle
from pipelines.similarity.encoder import encoder_of
from pipelines.similarity.similarity import pairwise
from schemas.spec import Spec

_ALL_TIME = -(1 << 62)


def own_query(
    requests: Iterable[Settled[Request]], positive: Positive, item: str, spec: Spec
) -> Request | None:
    """Path `own`: the user's latest target-domain request with a query that had exposed the item.

    Strictly before the source request, in the windows that `query_memory` reaches.
    """
    searchify = searchify_of(spec)
    assert searchify is not None
    window, before_ms = spec.window, positive.sample.time_ms
    oldest_ms = window.start(before_ms) - searchify.query_memory * window.length_ms
    found = [
        one.event
        for one in requests
        if one.event.query
        and spec.domain_of(one.event.scenario) == target_of(spec).domain
        and oldest_ms <= window.start(one.event.time_ms)
        and one.event.time_ms < before_ms
        and _exposed(one.event, item)
    ]
    return min(found, key=lambda r: (-r.time_ms, r.request_id.encode()), default=None)


def _exposed(request: Request, item: str) -> bool:
    return any(one.exposed and one.item == item for one in distinct(request))


@dataclass(frozen=True)
class Likeness:
    """How similar a negative's text is to the positive's; None where one of them has no text."""

    positive_text: str | None
    negative_text: str | None
    similarity: float | None


def likeness(
    versions: Iterable[Version], positive: Positive, items: tuple[str, str], spec: Spec
) -> Likeness:
    """The similarity of two items, the positive first, as known when the source was sealed."""
    settled = settle(versions, lambda one: (one.item, one.time_ms), lambda last_ms: _ALL_TIME, spec)
    texts = [_text_before(settled.living, item, positive) for item in items]
    searchify = searchify_of(spec)
    if searchify is None or any(text is None for text in texts):
        return Likeness(texts[0], texts[1], None)
    vectors = encoder_of(searchify.encoder).encode(pa.array(texts, pa.string()))
    return Likeness(texts[0], texts[1], float(pairwise(vectors[:1], vectors[1:])[0]))


def _text_before(versions: Iterable[Settled[Version]], item: str, positive: Positive) -> str | None:
    """The item's last version strictly before the source request that its cut knew of."""
    sample = positive.sample
    known = [
        one.event
        for one in versions
        if one.event.item == item
        and one.event.time_ms < sample.time_ms
        and one.cut_ms <= sample.cut_ms
    ]
    last = min(known, key=lambda v: (-v.time_ms, v.reading.digest), default=None)
    return None if last is None else last.text
