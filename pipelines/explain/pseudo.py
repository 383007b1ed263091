"""Samples of requests that clicks made: which the rules give, and whence their request came."""

from collections.abc import Iterator
from dataclasses import replace

from pipelines.explain.considered import flag_note
from pipelines.explain.credit import Flag
from pipelines.explain.events import UserEvents
from pipelines.explain.provenance import likeness, own_query
from pipelines.explain.ruling import Ruling
from pipelines.explain.samples import Sample
from pipelines.explain.searchified import Positive, searchify_of
from pipelines.explain.settle import reach_ms
from pipelines.explain.story import Made
from schemas.spec import Spec
from schemas.windows.sample import SealedSample


def positive_of(ruling: Ruling, sealed: SealedSample) -> Positive | None:
    """The positive of a sample's pseudo-request; `ruling` is of the positive's item."""
    made = ruling.searchified.positives
    return next((one for one in made if _is_of(one.sample, sealed)), None)


def _is_of(sample: Sample, sealed: SealedSample) -> bool:
    return (sample.time_ms, sample.request_id) == (sealed.time_ms, sealed.request_id)


def negative_of(ruling: Ruling, positive: Positive) -> Sample | None:
    """The negative that an item is beside a positive: its exposed sample of the source."""
    source = _source(ruling, positive)
    if source is None:
        return None
    return replace(
        source,
        request_id=positive.sample.request_id,
        domain=positive.sample.domain,
        origin="searchified_negative",
        probability=1.0,
    )


def _source(ruling: Ruling, positive: Positive) -> Sample | None:
    request = positive.source.request
    return next(
        (s for s in ruling.pair.samples if s.request is request and s.origin == "exposed"), None
    )


def standing_clicks(ruling: Ruling, positive: Positive) -> Iterator[str]:
    """What keeps an item from being a negative: clicks that stand on it at the source's cut."""
    source, cut_ms = _source(ruling, positive), positive.sample.cut_ms
    for flag in ruling.pair.flags:
        if flag.sample is source and _stands(flag, cut_ms, ruling.spec):
            event = flag.click.event
            yield (
                f"the window shows it as a negative; over these events {event.stream} "
                f"{event.event_id!r} stands on it at the cut of its source (rule 10)"
            )


def _stands(flag: Flag, cut_ms: int, spec: Spec) -> bool:
    click = flag.click
    remembered = click.cut_ms <= cut_ms and click.time_ms >= cut_ms - reach_ms(spec)
    return remembered and (click.fall is None or not click.fall.is_known(cut_ms, cut_ms))


def made_of(sealed: SealedSample, spec: Spec) -> Made:
    """Whence a request came, as far as the window tells."""
    searchify = searchify_of(spec)
    assert sealed.source_request is not None and sealed.positive is not None
    return Made(
        source_request=sealed.source_request,
        positive=sealed.positive,
        click=None,
        query_path=sealed.query_path or "none",
        query_score=sealed.query_score,
        query_request=None,
        likeness=None,
        floor=0.0 if searchify is None else searchify.floor,
    )


def made_by(
    made: Made, sealed: SealedSample, ruling: Ruling, positive: Positive, events: UserEvents
) -> Made:
    """The same with what the events tell; `ruling` is of the positive's item."""
    request = own_query(ruling.requests.living, positive, made.positive, ruling.spec)
    is_own = request is not None and made.query_path == "own" and request.query == sealed.query
    items = made.positive, sealed.item_id
    negative = sealed.origin == "searchified_negative"
    alike = likeness(events.versions, positive, items, ruling.spec) if negative else None
    return replace(
        made,
        click=flag_note(Flag(positive.source, positive.click)),
        query_request=request.request_id if is_own and request is not None else None,
        likeness=alike,
    )
