"""Why the rules over these events give no such sample, though a window shows it."""

from pipelines.explain.events import Request, UserEvents
from pipelines.explain.ruling import Ruling
from pipelines.explain.words import when
from schemas.windows.sample import SealedSample


def why_absent(ruling: Ruling, sealed: SealedSample, events: UserEvents) -> str:
    """One sentence for a person."""
    told = "the window shows this sample; the rules over these events give none"
    if sealed.source_request is not None:
        return f"{told}: {_not_made(ruling, sealed)}"
    return f"{told}: {_not_kept(ruling, sealed, events)}"


def _not_made(ruling: Ruling, sealed: SealedSample) -> str:
    fates = ", ".join(
        f"{click.event.stream} {click.event.event_id!r} of {when(click.time_ms)}: {fate}"
        for click, fate in ruling.searchified.fates.items()
    )
    return (
        f"no click on item {sealed.positive!r} makes a request of {sealed.source_request!r} "
        f"({fates or 'there is none'})"
    )


def _not_kept(ruling: Ruling, sealed: SealedSample, events: UserEvents) -> str:
    named = f"request {sealed.request_id!r} of {when(sealed.time_ms)}"
    if not any(_is(request, sealed) for request in events.requests):
        return f"the source holds no {named} of user {sealed.user_id!r}"
    if any(_is(one.event, sealed) for one in ruling.requests.living):
        return f"{named} in the source does not keep item {sealed.item_id!r}"
    reason = next(one.reason for one in ruling.requests.refused if _is(one.event, sealed))
    return f"{named} in the source does not count: {_WHY.get(reason, reason)}"


_WHY = {
    "unread": "the pipeline has not read it",
    "late": "it is a dead letter `late` (rule 8)",
    "future": "it is a dead letter `future`",
    "duplicate": "it is a copy of another one (identity)",
}


def _is(request: Request, sealed: SealedSample) -> bool:
    return (request.request_id, request.time_ms) == (sealed.request_id, sealed.time_ms)
