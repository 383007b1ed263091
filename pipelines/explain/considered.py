"""The events that were considered for one label, each with its verdict."""

from collections.abc import Iterator
from dataclasses import dataclass

from pipelines.explain.credit import Action, Flag
from pipelines.explain.events import Feedback, Reading, UserEvents
from pipelines.explain.reasons import Judge, Verdict
from pipelines.explain.retract import Fall, key_of
from pipelines.explain.ruling import Ruling
from pipelines.explain.settle import Refused
from pipelines.explain.words import when


@dataclass(frozen=True)
class Considered:
    """Feedback of the user on the item, what it is to the label, and what retracts it."""

    stream: str
    event_id: str | None
    time_ms: int | None
    domain: str | None
    request_id: str | None
    value: float | None
    late: bool
    source: str
    position: int
    outcome: str
    reason: str
    text: str
    retractions: tuple[str, ...] = ()


def considered(judge: Judge, events: UserEvents) -> tuple[Considered, ...]:
    """All feedback of the task's stream on the item, by time; unusable events last."""
    stream = judge.task.stream
    mine = [action for action in judge.ruling.actions if action.event.stream == stream]
    told = [_of_action(judge, action) for action in mine]
    for refused in judge.ruling.feedback.refused:
        if (refused.event.stream, refused.event.item) == (stream, judge.ruling.item):
            told.append(_told(refused.event, _refused(refused)))
    told.sort(key=lambda one: (one.time_ms, one.event_id, one.source, one.position))
    return (*told, *_unusable(stream, events))


def _of_action(judge: Judge, action: Action) -> Considered:
    verdict = judge.verdict(action)
    notes = tuple(_retractions(judge, action))
    return _told(action.event, verdict, action.domain, action.late, notes)


def _told(
    event: Feedback,
    verdict: Verdict,
    domain: str | None = None,
    late: bool = False,
    retractions: tuple[str, ...] = (),
) -> Considered:
    return Considered(
        stream=event.stream,
        event_id=event.event_id,
        time_ms=event.time_ms,
        domain=domain,
        request_id=event.request_id,
        value=event.value,
        late=late,
        source=event.reading.source,
        position=event.reading.position,
        outcome=verdict.outcome,
        reason=verdict.reason,
        text=verdict.text,
        retractions=retractions,
    )


def _refused(refused: Refused[Feedback]) -> Verdict:
    survivor = refused.survivor
    if survivor is not None:
        other = "" if survivor.item == refused.event.item else f" on item {survivor.item!r}"
        text = (
            f"a copy of the event of {when(survivor.time_ms)}{other} in "
            f"{_place(survivor.reading)}, which lives (identity)"
        )
    else:
        text = _WHY_REFUSED.get(refused.reason, f"a dead letter `{refused.reason}`")
    return Verdict("lost", refused.reason, text)


_WHY_REFUSED = {
    "unread": "the pipeline has not read it yet",
    "future": "a dead letter `future`: it was dated later than the reader's clock and `max_ahead`",
    "late": "a dead letter `late`: it was read more than M after its time (rule 8)",
}


def _place(reading: Reading) -> str:
    return f"{reading.source}:{reading.position}"


def _unusable(stream: str, events: UserEvents) -> Iterator[Considered]:
    for one in events.unusable:
        if one.stream == stream:
            field = "" if one.field is None else f" in field {one.field!r}"
            yield Considered(
                stream=one.stream,
                event_id=None,
                time_ms=None,
                domain=None,
                request_id=None,
                value=None,
                late=False,
                source=one.source,
                position=one.position,
                outcome="lost",
                reason=one.reason,
                text=f"a dead letter `{one.reason}`{field}",
            )


def _retractions(judge: Judge, action: Action) -> Iterator[str]:
    """What each retraction that names an event does to the label."""
    if action.fall is not None:
        yield _fall(judge, action, action.fall)
    for idle in judge.ruling.regrets.idle.get(key_of(action.event), []):
        told = _WHY_IDLE.get(idle.reason, f"is a dead letter `{idle.reason}`")
        yield f"the retraction of {when(idle.retraction.time_ms)} {told}"


_WHY_IDLE = {
    "before_event": "is older than the event by more than M: it does not act (rule 7)",
    "forgotten": "met the event when one of them was forgotten: it does not act (identity)",
    "unmatched": "waited for its event longer than M: a dead letter `unmatched` (rule 7)",
    "duplicate": "is a copy of another one (identity)",
    "unread": "has not been read by the pipeline yet",
    "late": "was read more than M after its time: a dead letter `late` (rule 8)",
}


def _fall(judge: Judge, action: Action, fall: Fall) -> str:
    moment = f"retracted at {when(fall.acts_from_ms)}, known at the cut of {when(fall.cut_ms)}"
    if fall.cut_ms > judge.last_cut_ms:
        return f"{moment}, which has not come yet"
    held = [c for c in judge.ruling.credits if c.action is action and c.task is judge.task]
    mine = next((c for c in held if c.sample is judge.sample and not c.closed), None)
    if mine is None:
        return moment
    if mine.withdrawn_ms is None:
        return f"{moment}: the label had closed then, and stays as it is (rule 7)"
    return f"{moment}: withdrawn from this label"


@dataclass(frozen=True)
class FlagNote:
    """A click, the request that it makes count as clicked for conversions, and until when."""

    stream: str
    event_id: str
    time_ms: int
    request_id: str
    until_ms: int | None


def flags(ruling: Ruling) -> tuple[FlagNote, ...]:
    """All clicks on the item that rule 2 credits under their stream's longest horizon."""
    return tuple(flag_note(flag) for flag in ruling.pair.flags)


def flag_note(flag: Flag) -> FlagNote:
    """One click and what it flags."""
    event, fall = flag.click.event, flag.click.fall
    return FlagNote(
        event.stream,
        event.event_id,
        event.time_ms,
        flag.sample.request_id,
        None if fall is None else fall.acts_from_ms,
    )
