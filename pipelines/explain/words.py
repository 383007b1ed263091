"""How times, spans and labels are put to a person."""

from datetime import UTC, datetime, timedelta

from schemas.windows.sample import Label

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s"), (1, "ms"))


def when(time_ms: int) -> str:
    """A moment in UTC, to the millisecond.

    >>> when(1651370400250)
    '2022-05-01 02:00:00.250'
    """
    moment = _EPOCH + timedelta(milliseconds=time_ms)
    return f"{moment:%Y-%m-%d %H:%M:%S}.{time_ms % 1000:03d}"


def span(length_ms: int) -> str:
    """A span of time in its two largest units.

    >>> span(90_000), span(4_250), span(0)
    ('1 min 30 s', '4 s 250 ms', '0 ms')
    """
    parts = []
    for size, unit in _UNITS:
        count, length_ms = divmod(length_ms, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or "0 ms"


def after(start_ms: int, time_ms: int) -> str:
    """How long after or before a start something was.

    >>> after(1000, 3000), after(1000, 1), after(5, 5)
    ('2 s after', '999 ms before', 'at the time of')
    """
    if time_ms == start_ms:
        return "at the time of"
    side = "after" if time_ms > start_ms else "before"
    return f"{span(abs(time_ms - start_ms))} {side}"


def of_label(label: Label) -> str:
    """A label in a few words.

    >>> of_label(Label(1.0, "direct", "c7", 0, False)), of_label(Label(0.0)), of_label(Label())
    ("1 by direct, event 'c7' of 1970-01-01 00:00:00.000", '0, no event', 'missing')
    """
    if label.value is None:
        return "missing"
    if label.tier is None or label.time_ms is None:
        return f"{label.value:g}, no event"
    return f"{label.value:g} by {label.tier}, event {label.event_id!r} of {when(label.time_ms)}"
