"""Durations and sizes as people write them: `90s`, `6h`, `1.5d`."""

import re
from fractions import Fraction

UNIT_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_DURATION = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*(ms|s|m|h|d|w)\s*")


def parse_duration_ms(text: str) -> int:
    """The duration in whole milliseconds.

    >>> parse_duration_ms("6h"), parse_duration_ms("1.5s"), parse_duration_ms("0s")
    (21600000, 1500, 0)

    Raises ValueError for anything else than a non-negative number with a unit, or for a
    fraction of a millisecond.
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f"expected a number and a unit ({', '.join(UNIT_MS)}), received {text!r}")
    milliseconds = Fraction(match[1]) * UNIT_MS[match[2]]
    if milliseconds.denominator != 1:
        raise ValueError(f"expected whole milliseconds, received {text!r}")
    return int(milliseconds)


def format_duration_ms(duration_ms: int) -> str:
    """The shortest text that `parse_duration_ms` reads back.

    >>> format_duration_ms(21_600_000), format_duration_ms(90_000), format_duration_ms(0)
    ('6h', '90s', '0s')
    """
    if duration_ms < 0:
        raise ValueError(f"expected a non-negative whole number, received {duration_ms!r}")
    if duration_ms == 0:
        return "0s"
    unit = next(unit for unit, length in reversed(UNIT_MS.items()) if duration_ms % length == 0)
    return f"{duration_ms // UNIT_MS[unit]}{unit}"
