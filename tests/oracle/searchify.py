"""Rule 10: which foreign clicks become pseudo-requests of the target domain, and of what."""

import dataclasses

import xxhash

from tests.oracle import hierarchy
from tests.oracle.catalogue import embedding_before
from tests.oracle.own_domain import is_clicked, of_origin
from tests.oracle.queries import resolve_query
from tests.oracle.similarity import similarity
from tests.oracle.state import Feedback, Flag, PseudoRequest, Sample, State

BY_RULE_3 = ("clicked", "exposed", "unexposed")


def link_foreign_clicks(state: State, feedback: list[Feedback], cut_ms: int) -> None:
    """Rule 10: "`unlinked` (no source), `after_cut` (`t_e > C_w`, or read after it)"; what
    remains waits for the cut of its source's window."""
    for click in feedback:
        if not may_be_searchified(state, click):
            continue
        source = source_of(state, click)
        if source is None:
            state.count("searchify/unlinked")
        elif source.sample.cut_ms < cut_ms:
            state.count("searchify/after_cut")
        else:
            state.linked.append(source)


def may_be_searchified(state: State, click: Feedback) -> bool:
    """Rule 10: "A foreign click [...] credited to nothing by rule 3"; of a stream with a task
    and of a known domain. "A click that rule 3 credited, retracted since or not, is not
    searchified and not counted here"."""
    spec = state.spec
    return (
        spec.target is not None
        and spec.target.searchify is not None
        and click.arrival.kind == "click"
        and spec.stream_horizon_ms(click.stream) is not None
        and click.domain is not None
        and hierarchy.is_foreign(spec, click)
        and not any(one.feedback is click and one.tier in BY_RULE_3 for one in state.received)
    )


def source_of(state: State, click: Feedback) -> Flag | None:
    """Rule 10: "a source request (the one of the sample that rule 2 credited, under the longest
    horizon of the stream's tasks)": where the click raised its flag."""
    return next((flag for flag in state.flags if flag.click is click), None)


def searchify(state: State, cut_ms: int) -> list[PseudoRequest]:
    """Rule 10: "one per (source request, item), from the earliest such click, evaluated at the
    source window's cut"; the others count as `retracted` or `repeat`."""
    made: list[PseudoRequest] = []
    due = [link for link in state.linked if link.sample.cut_ms == cut_ms]
    for link in sorted(due, key=_earliest):
        if link.falls_ms is not None and link.falls_ms <= cut_ms:
            state.count("searchify/retracted")
        elif any(pseudo.click.sample is link.sample for pseudo in made):
            state.count("searchify/repeat")
        else:
            state.count("searchify/made")
            made.append(pseudo_request(state, link, cut_ms))
    state.pseudo_requests.extend(made)
    return made


def _earliest(link: Flag) -> tuple[int, bytes, bytes]:
    click = link.click
    return click.time_ms, click.stream.encode(), click.event_id.encode()


def pseudo_request(state: State, link: Flag, cut_ms: int) -> PseudoRequest:
    """Rule 10: "a pseudo target-domain request at its source request's time"."""
    clicked = link.sample
    query = resolve_query(state, clicked)
    state.count(f"query/{query.path}")
    if query.text is None:
        state.count("no_query")
    positive = aligned(state, clicked, clicked, "searchified_positive")
    negatives = [
        aligned(state, clicked, sample, "searchified_negative")
        for sample in similar_unclicked(state, clicked, cut_ms)
    ]
    return PseudoRequest(link, positive, negatives, query)


def aligned(state: State, clicked: Sample, sample: Sample, origin: str) -> Sample:
    """Rule 10: "Id = hash(source request id, item id, `searchified`)"; "domain = target"; time
    and position as in the source."""
    assert state.spec.target is not None
    return dataclasses.replace(
        sample,
        request_id=pseudo_id(clicked.request_id, clicked.item),
        domain=state.spec.target.domain,
        origin=origin,
        pseudo_of=(clicked.request_id, clicked.item),
    )


def pseudo_id(source_request_id: str, item: str) -> str:
    """The hash "as 16 hexadecimal digits, unsigned"."""
    parts = (source_request_id, item, "searchified")
    return f"{xxhash.xxh3_64_intdigest(chr(0).join(parts).encode()):016x}"


def similar_unclicked(state: State, clicked: Sample, cut_ms: int) -> list[Sample]:
    """Rule 10: "up to m exposed candidates of the source request, other than the item, without a
    rule-2 click standing at `C_w`, at or above the similarity floor, by falling similarity, then
    position; [...] an item without an embedding is never one, and a positive without one has
    none"."""
    assert state.spec.target is not None and state.spec.target.searchify is not None
    settings = state.spec.target.searchify
    ranked = []
    for sample in of_origin("exposed", state.samples):
        beside = sample.request is clicked.request and sample is not clicked
        if beside and not is_clicked(state, sample, cut_ms, cut_ms):
            score = similarity_of_items(state, clicked, sample)
            if score is not None and score >= settings.floor:
                ranked.append((-score, sample.candidate["position"], sample))
    ranked.sort(key=lambda one: one[:2])
    return [sample for _, _, sample in ranked[: settings.negatives]]


def similarity_of_items(state: State, one: Sample, other: Sample) -> float | None:
    """Rule 10: of items as they were last known "strictly before" the source request."""
    first, second = (embedding_before(state, s.item, s.time_ms) for s in (one, other))
    return None if first is None or second is None else similarity(first, second)
